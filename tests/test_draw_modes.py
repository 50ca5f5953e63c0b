"""draw() with reuse, fixed sets, orbits, thresholds and memory limits: the same sample, counted otherwise."""

import numpy as np
import pytest
import torch

import pfmap
from pfmap import FunctionCounts, IncompatibleTables, InvalidInput, TruthTables, maps
from pfmap.sampling import Reuse
from pfmap.sampling.reuse import ReuseSampler
from pfmap.store import load_counts

NET = maps.MLP(4, (8, 6))
FEATURES = maps.FeatureFunction(
    "random-relu",
    NET.domain,
    n_feature_latents=40,
    function=lambda z: torch.relu(z.reshape(-1, 8, 5) @ _inputs()),
    readout=maps.Readout(8, 0.5, 0.7),
    symmetry={"input_permutations"},
)
REUSE = Reuse(2, 4)


def _inputs():
    points = torch.from_numpy(NET.domain.points().astype(np.float32)).T
    return torch.cat([points, torch.ones(1, points.shape[1])])


def same(one, other):
    assert one == other or (one.tables, one.counts.tolist()) == (other.tables, other.counts.tolist())
    np.testing.assert_array_equal(one.squares, other.squares)
    assert (one.n_samples, one.n_clusters, one.at_least) == (other.n_samples, other.n_clusters, other.at_least)
    if one.at_least:
        assert one.totals() == other.totals()


@pytest.mark.parametrize("at_least", [2, 3])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("is_marked", [True, False])
def test_what_came_twice_is_counted_alike_where_a_draw_of_its_own_marks_it(
    at_least, workers, is_marked, seed, monkeypatch
):
    """A chaotic net of 6 inputs brings a new function nearly always, one of 3 inputs soon knows them all."""
    net = maps.MLP(6, (12, 12), "tanh", sigma_w=3.0) if is_marked else maps.MLP(3, (8,))
    asked = []
    monkeypatch.setattr(ReuseSampler, "mark", lambda *args, real=ReuseSampler.mark: (asked.append(args), real(*args)))
    whole = pfmap.draw(net, 60_000, seed=seed, reuse=Reuse(2, 8), workers=workers)
    assert not asked
    assert whole.totals().functions > len(whole.truncated(at_least)) > 10
    same(
        pfmap.draw(net, 60_000, seed=seed, reuse=Reuse(2, 8), at_least=at_least, workers=workers),
        whole.truncated(at_least),
    )
    assert bool(asked) == is_marked


@pytest.mark.parametrize("pfm", [NET, FEATURES], ids=["kernel", "torch"])
@pytest.mark.parametrize("reuse", [None, REUSE], ids=["iid", "reuse"])
@pytest.mark.parametrize("pool", [None, "orbits"])
def test_every_way_to_count_agrees(pfm, reuse, pool, seed, tmp_path):
    asked = {"seed": seed, "reuse": reuse, "pool": pool}
    whole = pfmap.draw(pfm, 4000, **asked, workers=1)
    assert (whole.n_samples, whole.cluster_size) == (4000, 1 if reuse is None else 16)
    same(pfmap.draw(pfm, 4000, **asked, workers=3, batch=7), whole)
    same(pfmap.draw(pfm, 4000, **asked, memory="512MB"), whole)
    same(pfmap.draw(pfm, 4000, **asked, engine="torch"), whole)
    same(pfmap.draw(pfm, 4000, **asked, out=tmp_path / "run"), whole)
    assert load_counts(tmp_path / "run") == pfmap.draw(pfm, 4000, **asked, out=tmp_path / "run")
    same(pfmap.draw(pfm, 4000, **asked, at_least=3), whole.truncated(3))
    same(pfmap.draw(pfm, 4000, **asked, at_least=3, out=tmp_path / "rare"), whole.truncated(3))
    chosen = whole.tables[[5, 0, 40, len(whole) - 1]]
    for folder in (None, tmp_path / "only"):
        fixed = pfmap.draw(pfm, 4000, **asked, only=chosen, out=folder)
        assert fixed.at_least == 0
        assert fixed.n_samples == 4000
        np.testing.assert_array_equal(fixed.at(chosen), whole.at(chosen))
        at = whole.tables.positions_in(fixed.tables) >= 0
        np.testing.assert_array_equal(np.sort(fixed.squares), np.sort(whole.squares[at]))


def test_orbits_of_independent_samples_are_those_of_their_counts(seed):
    counts = pfmap.draw(NET, 3000, seed=seed)
    same(pfmap.draw(NET, 3000, seed=seed, pool="orbits"), counts.pooled(NET.symmetry))


def test_a_fixed_set_lists_what_never_came(seed):
    only = TruthTables.from_strings(["0110100110010110", "0000000000000000"])
    counts = pfmap.draw(NET, 200, seed=seed, only=only)
    assert counts.at(only)[0] == 0
    assert len(counts) == 2
    assert pfmap.estimate_prior(counts).caveat is None


@pytest.mark.parametrize("reuse", [None, Reuse(2, 8)])
def test_a_folder_takes_a_fixed_set_of_which_none_came(reuse, tmp_path):
    parity = TruthTables.from_ints([sum(1 << j for j in range(64) if j.bit_count() % 2)], 6)
    net = maps.MLP(6, (3,))
    for out in (None, tmp_path / "run", tmp_path / "run"):
        counts = pfmap.draw(net, 1024, only=parity, reuse=reuse, out=out)
        assert (counts.at(parity).tolist(), counts.n_unlisted) == ([0], 1024)


def test_clusters_are_rounded_up_and_refuse_to_split(seed):
    counts = pfmap.draw(NET, 1001, seed=seed, reuse=REUSE)
    assert (counts.n_samples, counts.n_clusters) == (1008, 63)
    with pytest.raises(InvalidInput, match="only="):
        counts.split()
    more = pfmap.draw(NET, 1000, seed=seed ^ 1, reuse=REUSE)
    assert (counts + more).n_clusters == 63 + 63
    with pytest.raises(IncompatibleTables):
        counts.merge(pfmap.draw(NET, 1000, seed=seed ^ 1, reuse=Reuse(2, 3)))
    with pytest.raises(IncompatibleTables):
        counts.merge(pfmap.draw(NET, 1000, seed=seed ^ 1))


def test_a_run_folder_knows_how_it_was_drawn(tmp_path, seed):
    pfmap.draw(NET, 1000, seed=seed, reuse=REUSE, out=tmp_path / "run")
    for other in ({}, {"reuse": Reuse(2, 3)}, {"reuse": REUSE, "pool": "orbits"}, {"reuse": REUSE, "at_least": 2}):
        with pytest.raises(InvalidInput, match="holds another draw"):
            pfmap.draw(NET, 1000, seed=seed, out=tmp_path / "run", **other)
    pfmap.draw(NET, 1000, seed=seed, reuse=REUSE, engine="torch", out=tmp_path / "run")


def test_a_limit_on_memory_lists_what_fits(tmp_path, seed, monkeypatch):
    monkeypatch.setattr("pfmap.store.folder._COPIES", 200_000)  # so that 512 MB hold few functions
    limited = pfmap.draw(NET, 4000, seed=seed, memory="512MB", out=tmp_path / "run")
    whole = load_counts(tmp_path / "run")
    assert limited.at_least > 1
    assert 0 < len(limited) < len(whole)
    assert limited == whole.truncated(limited.at_least)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"reuse": 16}, "reuse is 16; it is 'auto'"),
        ({"pool": "all"}, "pool is 'all'; it is 'orbits' or None"),
        ({"at_least": 0}, "at_least is 0"),
        ({"memory": "4 apples"}, "it needs bytes, or a text such as '512MB' or '4GB'"),
        ({"memory": "1MB"}, "it needs 512MB or more"),
        ({"memory": True}, "it needs bytes"),
        ({"only": TruthTables.from_ints([], 4)}, "only holds no function"),
        ({"only": ["0"]}, "only"),
        ({"only": TruthTables.from_ints([3], 4), "at_least": 2}, "both given"),
        ({"engine": "gpu"}, "engine is 'gpu'"),
    ],
)
def test_bad_arguments_say_what_is_allowed(wrong, message):
    with pytest.raises(InvalidInput, match=message):
        pfmap.draw(NET, 100, **wrong)


def test_functions_of_another_domain_and_maps_without_hidden_layers_are_named():
    with pytest.raises(IncompatibleTables, match="only lives on"):
        pfmap.draw(NET, 100, only=TruthTables.from_ints([3], 3))
    with pytest.raises(InvalidInput, match="no hidden layer"):
        pfmap.draw(maps.Perceptron(4), 100, reuse="auto")
    plain = maps.LatentFunction("first", NET.domain, 16, lambda z: z)
    with pytest.raises(InvalidInput, match="declares no linear read-out"):
        pfmap.draw(plain, 100, reuse="auto")
    with pytest.raises(InvalidInput, match="declares no symmetry"):
        pfmap.draw(plain, 100, pool="orbits")
    assert isinstance(pfmap.draw(plain, 10), FunctionCounts)
