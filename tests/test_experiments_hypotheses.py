"""What the experiments on hypotheses conclude, where the answer is known."""

from types import SimpleNamespace

import numpy as np
import pytest

import pfmap
from pfmap import complexity, maps
from pfmap.counts import FunctionCounts
from pfmap.hypotheses.laws import all_functions
from pfmap.tables import Cube
from tests.statistics import LEVEL


def along(ends):
    """What a sweep found, of one number with these intervals."""
    return SimpleNamespace(summaries=[SimpleNamespace(entropy=SimpleNamespace(low=a, high=b)) for a, b in ends])


@pytest.mark.parametrize(
    ("ends", "verdict", "sure", "against"),
    [
        ([(0, 1), (2, 3), (4, 5)], "at every step", 2, 0),
        ([(0, 1), (0.5, 3), (4, 5)], "from end to end, no step against", 1, 0),
        ([(0, 4), (1, 5), (3, 6)], "undecided", 0, 0),
        ([(0, 1), (4, 5), (2, 3)], "refuted", 1, 1),
    ],
)
def test_a_sweep_rises_where_its_intervals_do(experiment, ends, verdict, sure, against):
    monotony = experiment("sweeps").monotony
    found = monotony(along(ends), "entropy", 1)
    assert (found["asked"], found["verdict"], found["sure"], found["against"]) == ("rises", verdict, sure, against)
    falls = monotony(along([(-high, -low) for low, high in ends]), "entropy", -1)
    assert (falls["asked"], falls["verdict"], falls["sure"], falls["against"]) == ("falls", verdict, sure, against)


def test_the_middle_is_passed_between_sure_values(experiment):
    of_maps = {str(s): {"mean_complexity": {"low": K - 4, "high": K + 4}} for s, K in ((1, 20), (2, 76), (3, 120))}
    fair = {"mean_complexity": {"value": 143.0}}
    found = experiment("sweeps").halfway(of_maps, fair)
    assert found == {"C_LZ": 75.0, "sigma_w_above": 1.0, "sigma_w_below": 3.0}


def test_each_measure_is_compared_once_and_circuit_size_among_them(experiment):
    compared = experiment("bits_explained").compared
    for n in (3, 4, 5):
        measures, circuit_size = compared(n)
        assert circuit_size in measures
    names, K = zip(*((m.name, m(all_functions(Cube(4)))) for m in compared(4)[0]), strict=True)
    alike = np.argwhere(np.triu(abs(np.corrcoef(K)) > 1 - 1e-9, 1))
    assert [(names[i], names[j]) for i, j in alike] == [("block_sensitivity", "certificate_complexity")]


def test_circuit_size_is_said_to_be_beaten_only_where_it_is(experiment, rng):
    """Law: 1e5 samples of P = 2^(-2 K / sd of K), K circuit size or average sensitivity; none beats the true K."""
    script = experiment("bits_explained")
    measures, circuit_size = script.compared(4)
    tables = all_functions(Cube(4))

    def p_value(K):
        p = np.exp2(-2 * K / K.std())
        counts = rng.multinomial(100_000, p / p.sum())
        came = np.flatnonzero(counts)
        found = pfmap.which_complexity(FunctionCounts.from_unordered(tables[came], counts[came]), measures)
        return found.best_tests()[found.names.index(circuit_size.name)].p_value

    assert p_value(complexity.circuit_size(tables)) >= LEVEL
    assert p_value(complexity.average_sensitivity(tables)) < LEVEL


def test_bias_of_a_perceptron_within_one_number_of_ones_is_found(experiment, monkeypatch):
    """As arXiv 1909.11522 publishes; that class balance alone is not taken for it is calibrated elsewhere."""
    script = experiment("stratified_bias")
    sizes = {"n_samples": 100_000, "most": 100, "weights": [16, 32, 64, 96], "shown": [16, 64]}
    monkeypatch.setattr(script, "MACHINES", {script.SHOWN: maps.Perceptron(7)})
    found = script.main(0, **sizes)[1][script.SHOWN]
    assert found["within T"]["high"] < 0
    assert found["T_with_bias_after_Holm"] > 0
    assert found["T_tested"] == 4
