"""pfmap test: the table it prints and the JSON it writes are those of the tests themselves."""

import json

import pytest

from pfmap import complexity, correct_family, estimate_prior, simplicity_bias_test, which_complexity
from pfmap.cli import main
from pfmap.store import load_counts


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("test") / "run"
    network = ["--n-inputs", "4", "--hidden", "8", "8"]
    assert main(["sample", "-n", "20_000", *network, "--seed", "3", "--out", str(folder)]) == 0
    return folder


def test_one_measure_is_tested(run, tmp_path, capsys):
    assert main(["test", str(run), "--permutations", "99", "--json", str(tmp_path / "t.json")]) == 0
    out = capsys.readouterr().out
    assert out.rstrip().endswith("t.json")
    tests = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["tests"]
    pick, judge = load_counts(run).split(seed=1)
    prior = estimate_prior(judge, at=pick.tables)
    plain = simplicity_bias_test(prior, complexity.lempel_ziv(prior.tables), permutations=99)
    assert tests[0]["p_value"] == plain.p_value
    assert tests[0]["effect_interval"] == list(plain.effect_interval)
    assert {t["null"] for t in tests} >= {"no function lies above the bound", plain.null}
    for test in tests:
        assert test["null"] in out
        assert test["sentence"].startswith(f"That {test['null']} is ")
        assert test["correction"] == "holm"
    assert [t["adjusted_p_value"] for t in tests] == [
        t.adjusted_p_value for t in correct_family([_with(plain, t["p_value"]) for t in tests])
    ]


def _with(test, p):
    return type(test)(**{**vars(test), "p_value": p})


def test_several_measures_are_compared(run, tmp_path, capsys):
    arguments = ["-m", "entropy", "circuit_size", "--permutations", "19", "--json", str(tmp_path / "t.json")]
    assert main(["test", str(run), *arguments]) == 0
    record = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["which_complexity"]
    found = which_complexity(load_counts(run), [complexity.entropy, complexity.circuit_size])
    assert record["measures"] == list(found.names)
    assert record["bits"] == found.bits.tolist()
    assert record["contenders"] == list(found.contenders)
    assert "of KL(P || uniform) = " in capsys.readouterr().out


def test_what_cannot_be_compared_is_left_out(tmp_path, capsys):
    folder = str(tmp_path / "five")
    assert main(["sample", "-n", "3000", "--n-inputs", "5", "--hidden", "8", "--out", folder]) == 0
    assert main(["test", folder, "-m", "entropy", "lempel_ziv", "--permutations", "19"]) == 0
    assert "left out: how many functions of Cube(n_inputs=5)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--permutations", "5"], "from 19 up"),
        (["-m", "entropy", "lempel_ziv", "--max-complexity", "9"], "one --measure"),
        (["-m", "lz"], "lz is no measure"),
    ],
)
def test_mistakes_are_explained(arguments, said, run, capsys):
    assert main(["test", str(run), *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_help_shows_an_example(capsys):
    assert main(["test", "--help"]) == 0
    assert "Example: pfmap test " in " ".join(capsys.readouterr().out.split())
