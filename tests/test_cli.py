"""The commands as a user types them: what they print, write and refuse."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from pfmap import cli, complexity, draw, maps
from pfmap.bounds import fit_levin_bound
from pfmap.cli import MEASURES, main
from pfmap.complexity_prior import estimate_complexity_prior
from pfmap.measuring import Measurement
from pfmap.prior import estimate_prior
from pfmap.store import load_complexity, load_counts, stored_measures


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert (
        main(["sample", "-n", "20_000", "--n-inputs", "4", "--hidden", "8", "8", "--seed", "3", "--out", str(folder)])
        == 0
    )
    return folder


@pytest.fixture(scope="module")
def estimate(run):
    pick, judge = load_counts(run).split(seed=1)
    return estimate_prior(judge, at=pick.tables)


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_sample_is_draw(run):
    assert load_counts(run) == draw(maps.MLP(4, (8, 8)), 20_000, seed=3)


def test_sample_again_changes_nothing_and_names_the_folder(run, capsys):
    before = (run / "counts.parquet").read_bytes()
    command = ["sample", "-n", "2e4", "--n-inputs", "4", "--hidden", "8", "8", "--seed", "3", "--workers", "1"]
    assert main([*command, "--out", str(run)]) == 0
    assert (run / "counts.parquet").read_bytes() == before
    assert capsys.readouterr().out.rstrip().endswith(str(run))


@pytest.mark.parametrize(
    ("flags", "net"),
    [
        (["--perceptron"], maps.Perceptron(3)),
        (["--perceptron", "--sigma-b", "1"], maps.Perceptron(3, sigma_b=1.0)),
        (
            ["--perceptron", "--weights", "uniform", "--inputs", "pm1"],
            maps.Perceptron(3, weights="uniform", inputs="pm1"),
        ),
        (
            [
                "--hidden",
                "4",
                "--activation",
                "tanh",
                "--sigma-w",
                "2",
                "--sigma-b",
                "0.5",
                "--bias-scaling",
                "fan_out",
            ],
            maps.MLP(3, (4,), "tanh", 2.0, 0.5, bias_scaling="fan_out"),
        ),
    ],
)
def test_flags_make_the_map(tmp_path, flags, net):
    assert main(["sample", "--n-inputs", "3", "-n", "100", "--out", str(tmp_path / "run"), *flags]) == 0
    assert load_counts(tmp_path / "run").provenance["map"] == net.spec


def test_prior_lists_and_writes_the_estimate(run, estimate, tmp_path, capsys):
    as_csv, as_json = tmp_path / "p.csv", tmp_path / "p.json"
    assert main(["prior", str(run), "--top", "3", "--csv", str(as_csv), "--json", str(as_json)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in printed[1:4]] == estimate.tables[:3].strings()
    assert float(printed[1].split()[0]) == pytest.approx(2 ** estimate.log2_p[0], rel=1e-3)
    assert "95 %" in printed[0]
    assert "10,000 samples" in printed[4]

    rows = read_csv(as_csv)
    assert [row["table"] for row in rows] == estimate.tables.strings()
    for column in ("log2_p", "log2_low", "log2_high"):
        np.testing.assert_array_equal([float(row[column]) for row in rows], getattr(estimate, column))

    record = json.loads(as_json.read_text())
    assert record["functions"]["count"] == estimate.counts.tolist()
    assert record["unseen"]["log2_p"] == estimate.unseen.log2_p
    lows = [-np.inf if low is None else low for low in record["functions"]["log2_low"]]
    np.testing.assert_array_equal(lows, estimate.log2_low)


def test_prior_without_a_split_says_what_is_wrong_with_it(run, capsys):
    assert main(["prior", str(run), "--no-split"]) == 0
    out = capsys.readouterr().out
    assert "20,000 samples" in out
    assert "picked by the counts that judge them" in out


def test_wide_tables_are_listed_as_integers(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["sample", "-n", "500", "--hidden", "5", "--out", str(run)]) == 0
    assert main(["prior", str(run), "--top", "2", "--no-split"]) == 0
    listed = [int(line.split()[-1], 16) for line in capsys.readouterr().out.splitlines()[2:4]]
    assert listed == load_counts(run).tables[:2].ints()


@pytest.mark.parametrize("measure", ["lempel_ziv", "lempel_ziv_truncated"])
def test_complexity_spreads_all_functions_and_samples(run, measure, tmp_path, capsys):
    target = tmp_path / "k.csv"
    assert main(["complexity", str(run), "-m", measure, "--csv", str(target)]) == 0
    counts = load_counts(run)
    K = getattr(complexity, measure)(counts.tables)
    lines = capsys.readouterr().out.splitlines()
    table = np.array([line.split() for line in lines[1 : 1 + len(set(K))]], float)
    np.testing.assert_array_equal(table[:, 0], np.unique(K))
    assert table[:, 1].sum() == len(counts)
    assert table[:, 2].sum() == pytest.approx(1, abs=0.01)
    found = estimate_complexity_prior(counts, getattr(complexity, measure))
    for column, log2 in zip(table.T[2:], (found.log2_p, found.log2_low, found.log2_high), strict=True):
        np.testing.assert_allclose(column, 2.0**log2, rtol=1e-3)
    assert [float(row[measure]) for row in read_csv(target)] == K.tolist()


def printed_table(out):
    return {line.split()[0]: line for line in out.splitlines()[1:]}


def test_all_measures_become_columns_of_the_table(tmp_path, capsys):
    run, target = tmp_path / "run", tmp_path / "k.csv"
    draw = ["sample", "-n", "2000", "--n-inputs", "5", "--hidden", "8", "--out", str(run)]
    assert main(draw) == 0
    counts = load_counts(run)
    capsys.readouterr()
    assert main(["complexity", str(run), "--measures", "all", "--top", "30", "--csv", str(target)]) == 0
    out, err = capsys.readouterr()
    top = counts.tables[:30]
    left_out = set()
    columns = load_complexity(run)
    for name, measure in MEASURES.items():
        if measure.min_inputs <= 5 <= measure.max_inputs:
            np.testing.assert_array_equal(columns[name][:30], measure(top))
            assert np.all(np.isnan(columns[name][30:]))
            assert f"{measure(top).mean():.4g}" in printed_table(out)[name]
            assert printed_table(out)[name].endswith(measure.unit)
        else:
            left_out.add(name)
    assert len(columns) == len(MEASURES) - len(left_out)
    assert {line.split()[2] for line in err.splitlines() if line.startswith("left out: ")} == left_out
    assert all("; use " in line for line in err.splitlines() if line.startswith("left out: "))
    assert (
        out.splitlines()[0] == f"the 30 most frequent functions, {counts.counts[:30].sum() / 20:.4g} % of the samples"
    )
    rows = read_csv(target)
    assert [row["table"] for row in rows] == top.strings()
    for name, K in columns.items():
        np.testing.assert_array_equal([float(row[name]) for row in rows], K[:30])

    before = (run / "counts.parquet").read_bytes()
    assert main(draw) == 0
    assert main(["complexity", str(run), "-m", "entropy", "lempel_ziv", "--top", "30"]) == 0
    assert (run / "counts.parquet").read_bytes() == before
    assert load_counts(run) == counts


def test_measures_are_named_once_or_more(run, capsys):
    for flags in (
        ["-m", "entropy", "-m", "lempel_ziv"],
        ["--measures", "entropy", "lempel_ziv"],
        ["--measure", "entropy", "--measure", "lempel_ziv"],
    ):
        assert main(["complexity", str(run), *flags]) == 0
        assert list(printed_table(capsys.readouterr().out)) == ["entropy", "lempel_ziv"]


def test_a_long_computation_is_announced(tmp_path, capsys):
    assert main(["sample", "-n", "9000", "--out", str(tmp_path / "run")]) == 0
    counts = load_counts(tmp_path / "run")
    hours = Measurement(complexity.threshold_degree, np.arange(len(counts)), 3 * 3600.0, False)
    seconds = Measurement(complexity.entropy, np.arange(len(counts)), 1.0, False)
    capsys.readouterr()
    cli._announce([seconds, hours])
    assert capsys.readouterr().err == (
        "this takes about 3 h, of which threshold_degree 3 h; --top N takes the N most frequent functions alone\n"
    )
    cli._announce([seconds])
    assert capsys.readouterr().err == ""


def test_plot_and_bound_read_the_columns_that_are_there(run, monkeypatch, capsys):
    name = "decision_tree_mixture"
    assert main(["bound", str(run), "-m", name]) == 0
    computed = capsys.readouterr().out
    assert main(["complexity", str(run), "-m", name]) == 0
    monkeypatch.setitem(MEASURES, name, SimpleNamespace(unit=MEASURES[name].unit))  # which cannot be called
    capsys.readouterr()
    assert main(["bound", str(run), "-m", name]) == 0
    assert capsys.readouterr().out == computed
    assert main(["plot", str(run), "-m", name]) == 0


def test_a_column_of_some_functions_alone_is_not_taken_for_all(run, capsys):
    name = "decision_tree_size"
    assert main(["bound", str(run), "-m", name]) == 0
    computed = capsys.readouterr().out
    assert main(["complexity", str(run), "-m", name, "--top", "5"]) == 0
    capsys.readouterr()
    assert main(["bound", str(run), "-m", name]) == 0
    assert capsys.readouterr().out == computed


def test_bound_prints_a_priori_and_fitted(run, estimate, capsys):
    assert main(["bound", str(run)]) == 0
    out = capsys.readouterr().out
    fitted = fit_levin_bound(estimate, complexity.lempel_ziv(estimate.tables))
    assert f"a = {16 / 30:.4g}" in out
    assert f"a = {fitted.a:.4g} ({fitted.a_low:.4g} to {fitted.a_high:.4g})" in out
    assert out.count("above it:") == 2


def test_bound_takes_the_largest_complexity_of_any_measure(run, capsys):
    assert main(["bound", str(run), "-m", "lempel_ziv_truncated"]) == 0
    assert "--max-complexity" in capsys.readouterr().out
    assert main(["bound", str(run), "-m", "lempel_ziv_truncated", "--max-complexity", "32"]) == 0
    assert "a = 0.5\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ([], "prior_against_lempel_ziv.png"),
        (["--no-fit", "-m", "lempel_ziv_truncated"], "prior_against_lempel_ziv_truncated.png"),
        (["--rank"], "rank.png"),
        (["--rank", "--no-split"], "rank.png"),
    ],
)
def test_plot_ends_by_naming_its_figure(run, flags, name, capsys):
    assert main(["plot", str(run), *flags]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(run / name)
    assert (run / name).read_bytes().startswith(b"\x89PNG")


def test_plot_writes_where_it_is_told(run, tmp_path, capsys):
    target = tmp_path / "figure.svg"
    assert main(["plot", str(run), "--out", str(target)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(target)
    assert "<svg" in target.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sample", "--activation", "rely"], "relu"),
        (["sample", "--n-inputs", "40"], "1 to 16"),
        (["sample", "--n-inputs", "0"], "1 to 16"),
        (["sample", "--hidden", "0"], "at least 1"),
        (["sample", "--sigma-w", "-1"], "above 0"),
        (["sample", "--sigma-b", "-1"], "from 0 up"),
        (["sample", "-n", "0"], "at least 1"),
        (["sample", "-n", "1.5"], "whole number"),
        (["sample", "-n", "many"], "whole number"),
        (["sample", "-n", "inf"], "whole number"),
        (["sample", "--seed", "-1"], "2^64"),
        (["sample", "--workers", "0"], "at least 1"),
        (["sample", "--perceptron", "--hidden", "3"], "no hidden layer"),
        (["sample", "--perceptron", "--activation", "tanh"], "no hidden layer"),
        (["sample", "--out", "missing/run"], "does not exist"),
        (["prior", "missing"], "missing"),
        (["prior", "."], "not a pfmap run"),
        (["prior", "RUN", "--confidence", "2"], "between 0 and 1"),
        (["prior", "RUN", "--top", "few"], "int"),
        (["prior", "RUN", "--csv", "missing/p.csv"], "can be written"),
        (["complexity", "RUN", "--measure", "lz"], "lempel_ziv, "),
        (["complexity", "RUN", "-m", "entropy", "lz"], "lz is no measure; choose all, or some of and_or_circuit_size"),
        (["complexity", "RUN", "-m", "entropy", "zstd_length"], "at least 8; use complexity.lempel_ziv"),
        (["complexity", "RUN", "--top", "0"], "at least 1"),
        (["bound", "RUN", "--max-complexity", "0"], "above 0"),
        (["plot", "RUN", "--out", "a.gif"], ".png, .pdf or .svg"),
        (["plot", "RUN", "--out", "missing/a.png"], "can be written"),
        (["plot", "RUN", "--frobnicate"], "Unknown option"),
        (["frobnicate"], "Available commands"),
        (["prior"], "RUN"),
    ],
)
def test_mistakes_are_explained_in_a_line_and_leave_nothing(arguments, said, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([str(run) if argument == "RUN" else argument for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert said in " ".join(error.replace("│", " ").split())
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_another_draw_into_the_same_folder_is_refused(run, capsys):
    assert main(["sample", "-n", "20", "--out", str(run)]) == 2
    assert "n_samples is 20000 there, 20 here" in capsys.readouterr().err


def pfmap(*arguments, **options):
    code = "import sys; from pfmap.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.parametrize("command", ["sample", "prior", "complexity", "bound", "plot"])
def test_help_shows_one_example_that_parses(command, capsys):
    assert main([command, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"Example: pfmap {command} " in text


def test_help_needs_neither_torch_nor_matplotlib_nor_duckdb():
    code = (
        "import sys; from pfmap.cli import main; main(['--help']); "
        "sys.exit(', '.join({'torch', 'matplotlib', 'duckdb'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pfmap sample -n 1000000 --out relu" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_keeps_blocks_and_the_same_command_finishes(tmp_path):
    run = tmp_path / "run"
    size = ["--n-inputs", "7", "--hidden", "40", "40", "-n", "600_000"]
    started = pfmap("sample", *size, "--out", run)
    deadline = time.monotonic() + 120
    while not list(run.glob("block-*")):
        assert started.poll() is None, started.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    _, error = started.communicate(timeout=60)
    assert started.returncode == 130, error
    assert f"finished blocks are kept in {run}; the same command goes on from there" in error
    assert "Traceback" not in error
    assert list(run.glob("block-*"))
    assert main(["sample", *size, "--out", str(run)]) == 0
    assert load_counts(run).n_samples == 600_000


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_keeps_what_is_measured_and_the_same_command_finishes(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["sample", "-n", "40_000", "--out", str(run)]) == 0
    counts = load_counts(run)
    started = pfmap("complexity", run, "--measures", "threshold_degree", "entropy")
    assert "threshold_degree" in started.stderr.readline()  # minutes of linear programs are announced, and begin
    time.sleep(3)
    started.send_signal(signal.SIGINT)
    _, error = started.communicate(timeout=60)
    assert started.returncode == 130, error
    assert f"what is measured is kept in {run}; the same command goes on from there" in error
    assert "Traceback" not in error
    np.testing.assert_array_equal(load_complexity(run, ["entropy"])["entropy"], complexity.entropy(counts.tables))
    done = np.flatnonzero(~np.isnan(load_complexity(run, ["threshold_degree"])["threshold_degree"]))
    assert 0 < len(done) < len(counts)
    np.testing.assert_array_equal(done, np.arange(len(done)))
    capsys.readouterr()
    top = len(done) + 5
    assert main(["complexity", str(run), "-m", "threshold_degree", "entropy", "--top", str(top)]) == 0
    assert list(printed_table(capsys.readouterr().out.partition("\n")[2])) == ["threshold_degree", "entropy"]
    K = load_complexity(run)["threshold_degree"]
    assert not np.isnan(K[:top]).any()
    assert load_counts(run) == counts


def test_two_commands_at_once_keep_each_other_s_columns(run):
    measures = ("greedy_dnf_terms", "block_sensitivity")
    commands = [pfmap("complexity", run, "-m", measure) for measure in measures]
    for command in commands:
        _, error = command.communicate(timeout=120)
        assert command.returncode == 0, error
    assert set(measures) <= set(stored_measures(run))
    tables = load_counts(run).tables
    for measure in measures:
        np.testing.assert_array_equal(load_complexity(run)[measure], MEASURES[measure](tables))
