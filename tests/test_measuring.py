"""Columns of complexity are what the measures say, whatever the chunks, and go on where they were stopped."""

import time

import numpy as np
import pytest

from pfmap import FunctionCounts, InvalidInput, StoreError, TruthTables, complexity, measuring, save_counts
from pfmap.complexity import measure
from pfmap.measuring import add_complexity, missing_measurements
from pfmap.store import load_complexity, load_counts, save_complexity, table
from pfmap.streams import generator

SIZE = 300


@pytest.fixture
def run(tmp_path):
    rng = generator(0, "test-measuring")
    tables = TruthTables.from_bits(rng.integers(0, 2, (SIZE, 32)))
    path = tmp_path / "counts.parquet"
    save_counts(FunctionCounts.from_unordered(tables, rng.zipf(2.0, SIZE)), path)
    return path


@pytest.fixture
def tables(run):
    return load_counts(run).tables


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(measuring, "_CHUNK_SECONDS", 1e-9)


def fill(run, tables, measures, **options):
    add_complexity(run, tables, missing_measurements(run, tables, measures, **options))


class Watched:
    """Hamming weight that notes how many functions it was asked for, and raises `error` in call `stop`."""

    name, unit, invariance, is_code_length, min_inputs, max_inputs = "weight", "ones", frozenset(), False, 1, 16

    def __init__(self, error=KeyboardInterrupt):
        self.asked, self.stop, self.error = [], None, error

    def __call__(self, tables):
        if len(self.asked) == self.stop:
            raise self.error
        self.asked.append(len(tables))
        return tables.bits().sum(axis=1, dtype=float)


def stopped(run, tables, error):
    """How many functions three chunks are; in the fourth `error` comes."""
    weight = Watched(error=error)
    measurements = missing_measurements(run, tables, [weight])
    weight.asked, weight.stop = [], 3
    with pytest.raises(error):
        add_complexity(run, tables, measurements)
    return sum(weight.asked)


@pytest.mark.parametrize("top", [None, 1, 77, SIZE, SIZE + 1])
def test_columns_are_the_measures_chunk_by_chunk(run, tables, top, small_chunks):
    measures = [complexity.lempel_ziv, complexity.decision_tree_mixture, complexity.lempel_ziv]
    fill(run, tables, measures, top=top)
    columns = load_complexity(run)
    assert set(columns) == {"lempel_ziv", "decision_tree_mixture"}
    for m in measures:
        np.testing.assert_array_equal(columns[m.name][:top], m(tables)[:top])
        assert np.all(np.isnan(columns[m.name][slice(SIZE if top is None else top, None)]))
    assert missing_measurements(run, tables, measures, top=top) == []


def test_what_is_there_is_not_computed_again(run, tables):
    fill(run, tables, [Watched()], top=100)
    weight = Watched()
    (rest,) = missing_measurements(run, tables, [weight])
    np.testing.assert_array_equal(rest.rows, np.arange(100, SIZE))
    weight.asked.clear()
    add_complexity(run, tables, [rest])
    assert sum(weight.asked) == SIZE - 100
    np.testing.assert_array_equal(load_complexity(run)["weight"], weight(tables))
    (again,) = missing_measurements(run, tables, [weight], redo=True)
    assert len(again.rows) == SIZE


def test_a_column_of_another_version_is_computed_again(run, tables, monkeypatch):
    monkeypatch.setattr(table, "_version", lambda: "0.0.1")
    save_complexity(run, {complexity.entropy: np.zeros(SIZE)})
    monkeypatch.undo()
    fill(run, tables, [complexity.entropy])
    np.testing.assert_array_equal(load_complexity(run)["entropy"], complexity.entropy(tables))


def test_a_damaged_column_is_computed_again_on_demand(run, tables, monkeypatch):
    monkeypatch.setattr(table, "_column_digest", lambda *_: "0")
    save_complexity(run, {complexity.entropy: np.zeros(SIZE)})
    monkeypatch.undo()
    with pytest.raises(StoreError, match=r"the column entropy .* --redo"):
        missing_measurements(run, tables, [complexity.entropy])
    fill(run, tables, [complexity.entropy], redo=True)
    np.testing.assert_array_equal(load_complexity(run)["entropy"], complexity.entropy(tables))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_was_measured_before_a_stop_is_kept(run, tables, error, small_chunks):
    done = stopped(run, tables, error)
    assert 0 < done < SIZE
    K = load_complexity(run)["weight"]
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(K)), np.arange(done, SIZE))
    fill(run, tables, [Watched()])
    np.testing.assert_array_equal(load_complexity(run)["weight"], Watched()(tables))


def test_the_table_is_saved_while_work_goes_on(run, tables, small_chunks, monkeypatch):
    """So that a kill loses no more than what came since."""
    monkeypatch.setattr(measuring, "_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(measuring, "_SAVE_RATIO", 0.0)
    known = []

    @measure(unit="ones", invariance=frozenset(), is_code_length=False)
    def weight(tables):
        known.append(sum(np.count_nonzero(~np.isnan(K)) for K in load_complexity(run).values()))
        return tables.bits().sum(axis=1, dtype=float)

    measurements = missing_measurements(run, tables, [weight], top=12)
    known.clear()
    add_complexity(run, tables, measurements)
    assert len(known) > 5
    assert np.all(np.diff(known) > 0)


def test_a_full_disk_ends_the_work_and_keeps_what_was_saved(run, tables, monkeypatch):
    saves = []

    def fail(*_):
        saves.append(1)
        raise StoreError("the disk is full")

    fill(run, tables, [complexity.entropy])
    before = run.read_bytes()
    measurements = missing_measurements(run, tables, [complexity.lempel_ziv])
    monkeypatch.setattr(measuring, "_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(measuring, "save_complexity", fail)
    with pytest.raises(StoreError, match="full"):
        add_complexity(run, tables, measurements)
    assert len(saves) == 1
    assert run.read_bytes() == before


def test_cheap_measures_come_first_and_the_pilot_knows_their_cost(run, tables):
    """A sleep takes at least as long as it is told to."""

    @measure(unit="", invariance=frozenset(), is_code_length=False)
    def slow(tables):
        time.sleep(2e-3 * len(tables))
        return np.zeros(len(tables))

    measurements = missing_measurements(run, tables, [slow, complexity.entropy])
    assert [m.measure.name for m in measurements] == ["entropy", "slow"]
    assert measurements[1].seconds >= 2e-3 * SIZE


def test_nothing_is_begun_where_a_measure_does_not_answer(run, tables):
    with pytest.raises(InvalidInput, match=r"circuit_size .* at most 4; use"):
        missing_measurements(run, tables, [complexity.entropy, complexity.circuit_size])
    for top in (0, -1):
        with pytest.raises(InvalidInput, match=f"top is {top}; it needs"):
            missing_measurements(run, tables, [complexity.entropy], top=top)
    assert load_complexity(run) == {}
