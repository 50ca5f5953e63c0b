"""P over its whole range: where ways of measuring overlap they agree, and what did not converge gives no number."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pfmap import Cube, TruthTables, draw, estimate_prior, estimate_rare, maps
from pfmap.complexity import lempel_ziv_truncated
from pfmap.rare import orthant_probability
from tests.statistics import LEVEL

NET, NET7 = maps.MLP(3, (8,)), maps.MLP(7, (20,))


@pytest.fixture
def whole_range(experiment):
    return experiment("whole_range")


def test_sampling_and_splitting_agree_where_they_overlap(whole_range, seed):
    """Law: both intervals of one P hold it with 1 - 1e-6 over all functions together, so that they meet.

    Smallest fault: 0.7 bits at P = 2^-8. Planted: splitting that forgets one threshold in ten, 1.5 bits of 16.
    """
    pick = draw(NET, 1 << 17, seed=seed)
    tables = pick.tables[np.flatnonzero(pick.counts >= 4)[[20, 60, -1]]]
    confidence = 1 - LEVEL / (2 * len(tables))
    prior = estimate_prior(draw(NET, 1 << 21, seed=(seed + 1) % 2**64), at=tables, confidence=confidence)
    rare = estimate_rare(NET, tables, seed=seed, confidence=confidence, replicates=16, particles=300)
    assert rare.converged.all()

    def together(rare):
        both = [
            {
                "sampled": {"converged": True, **whole_range.interval(prior, i)},
                "split": {"converged": True, **whole_range.interval(rare, i)},
            }
            for i in range(len(tables))
        ]
        return whole_range.overlap(both)

    assert together(rare) == {"functions": 3, "meet": 3}
    shifted = {name: getattr(rare, name) + 1.5 for name in ("log2_p", "log2_low", "log2_high")}
    assert together(replace(rare, **shifted))["meet"] < 3


def test_what_did_not_converge_is_a_bound_and_no_number(whole_range):
    majority = np.array([Cube(7).points().sum(axis=1) > 3])
    tables = TruthTables.from_bits(majority, Cube(7))
    found = orthant_probability(maps.GaussianProcess(7, 2), tables, points=4, randomisations=8)
    record = whole_range.interval(found, 0)
    assert record["log2_p"] is None
    assert (record["log2_low"], record["log2_high"]) == (found.log2_floor[0], found.log2_ceiling[0])


def test_the_limit_of_deep_tanh_networks_is_that_of_wide_ones(whole_range, rng):
    """Covariance of the logits at the corners of a face over 2,000 networks of width 80, against the rule's.

    Law: a sample covariance of normals, standard deviation sqrt((K_ii K_jj + K_ij^2) / 2000); the width is allowed
    0.05 sqrt(K_ii K_jj). Smallest fault: 25 % of the variances. Planted: sigma_w = 5 for 4.
    """
    net = maps.MLP(2, (80, 80), "tanh", 4.0, 0.1, bias_scaling="fan_out")
    logits = net.logits(torch.from_numpy(rng.standard_normal((2000, net.n_latents), np.float32))).numpy()
    seen = logits.T @ logits / len(logits)

    def off(net):
        K = whole_range.tanh_limit(net).kernel()
        size = np.outer(K.diagonal(), K.diagonal())
        return ((np.abs(seen - K) - 0.05 * np.sqrt(size)) / np.sqrt((size + K**2) / len(logits))).max()

    assert off(net) < 5.5
    assert off(replace(net, sigma_w=5.0)) > 5.5


def test_the_rule_of_the_limit_has_settled(whole_range):
    net = whole_range.NETS["tanh, 8"]
    K, finer = (whole_range.tanh_limit(net, nodes).kernel() for nodes in (321, 385))
    np.testing.assert_allclose(K, finer, atol=1e-8 * K.max())


def test_circuits_and_tables_cover_the_axis(whole_range):
    functions = whole_range.candidates(NET7, 0, 50, 120)
    K = np.concatenate([lempel_ziv_truncated(tables) for tables, _ in functions.values()])
    assert np.diff(np.unique(K)).max() <= 14.0
    assert len(whole_range.circuits(120, 0)) == 120
    tables = whole_range.circuits(20, 1)
    found = whole_range.nearest(tables, [20.0, 20.0, 60.0])
    assert len(set(found)) == 3
