"""What every public complexity measure keeps to. A measure that lacks something fails here; none is skipped."""

import importlib
import pkgutil

import numpy as np
import pytest

from pfmap import InvalidInput, TruthTables, complexity
from pfmap.complexity import ComplexityMeasure
from pfmap.streams import generator
from pfmap.symmetry import canonicalize
from pfmap.tables import MAX_INPUTS


def measures_of(module):
    return [v for v in vars(module).values() if isinstance(v, ComplexityMeasure) and not isinstance(v, type)]


MEASURES = [m for m in measures_of(complexity) if m.name in complexity.__all__]
pytestmark = pytest.mark.parametrize("measure", MEASURES, ids=lambda m: m.name)

SYMMETRIES = {
    "complement": lambda t: t.complement(),
    "reversal": lambda t: t.flip_inputs(range(t.n_inputs)),
    "input_flips": lambda t: t.flip_inputs([0]),
    "input_permutations": lambda t: t.permute_inputs([*range(1, t.n_inputs), 0]),
}


def every_function(n):
    return TruthTables.from_ints(range(1 << (1 << n)), n)


SIZES = {"threshold_degree": 12}
"""How many functions are asked of measures that take milliseconds each; of others, 300."""


def some_functions(n, size=300):
    rng = generator(0, f"measures-{n}")
    return TruthTables.from_bits(rng.random((size, 1 << n)) < rng.random((size, 1)))


def test_every_measure_of_every_file_is_public(measure):
    files = [importlib.import_module(m.name) for m in pkgutil.iter_modules(complexity.__path__, "pfmap.complexity.")]
    named = {m.name for file in files for m in measures_of(file)}
    assert named == {m.name for m in MEASURES}
    assert getattr(complexity, measure.name) is measure


def within(measure, *sizes):
    """Those of the sizes that the measure answers for, or else its smallest two."""
    return [n for n in sizes if measure.min_inputs <= n <= measure.max_inputs] or [
        measure.min_inputs,
        measure.min_inputs + 1,
    ]


def all_or_some(measure, n):
    return every_function(n) if measure.min_inputs <= n else some_functions(measure.min_inputs)


def few_or_many(measure, n):
    return some_functions(n, SIZES.get(measure.name, 300))


def test_one_finite_value_a_function(measure):
    for n in within(measure, 1, 2, 4, 7):
        tables = few_or_many(measure, n)
        values = measure(tables)
        assert (values.dtype, values.shape) == (np.float64, (len(tables),))
        assert np.all(np.isfinite(values) & (values >= 0))
    assert measure(some_functions(within(measure, 3)[0])[:0]).shape == (0,)


def test_the_value_is_the_function_s_alone(measure):
    tables = few_or_many(measure, within(measure, 4, 5)[-1])
    order = generator(0, "order").permutation(len(tables))
    np.testing.assert_array_equal(measure(tables)[order], measure(tables[order]))


def test_constants_are_simplest(measure):
    tables = all_or_some(measure, 3)
    constant = TruthTables.from_ints([0], tables.n_inputs)
    assert measure(constant) <= measure(tables).min()


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_invariances_are_exactly_those_claimed(measure, symmetry):
    kept = all(
        np.array_equal(measure(tables), measure(SYMMETRIES[symmetry](tables)))
        for tables in [
            all_or_some(measure, 2),
            all_or_some(measure, 3),
            *(few_or_many(measure, n) for n in within(measure, 4, 5, 7)),
        ]
    )
    assert kept == (symmetry in measure.invariance)


def test_one_value_an_orbit(measure):
    """Every table against the canonical one under all the symmetries that the measure claims."""
    for n in within(measure, 3, 5, 7):
        if n <= 7:
            tables = few_or_many(measure, n)
            canonical = canonicalize(tables, group=measure.invariance).representatives
            np.testing.assert_array_equal(measure(tables), measure(canonical))


def test_code_lengths_obey_kraft(measure):
    if measure.is_code_length:
        for n in (1, 2, 3, 4):
            assert np.exp2(-measure(every_function(n))).sum() <= 1 + 1e-9


def test_says_what_it_is(measure):
    assert measure.unit
    for section in ("Args:", "Returns:", "Error:", "Cost:", "Source:", "Example:"):
        assert section in measure.__doc__


@pytest.mark.parametrize("wrong", ["0110", ["0110"], np.zeros((3, 8), np.uint8), None])
def test_takes_nothing_but_tables(measure, wrong):
    with pytest.raises(InvalidInput, match=f"{measure.name} .* needs TruthTables"):
        measure(wrong)


def test_beyond_its_range_it_names_an_alternative(measure):
    if measure.max_inputs < MAX_INPUTS:
        with pytest.raises(InvalidInput, match=f"{measure.name} .* at most {measure.max_inputs}; use "):
            measure(some_functions(measure.max_inputs + 1, 1))
    if measure.min_inputs > 1:
        with pytest.raises(InvalidInput, match=rf"{measure.name} .* at least {measure.min_inputs}; use "):
            measure(some_functions(measure.min_inputs - 1, 1))
