"""Canonical tables against connected components of the whole function space, whole orbits, and known class counts."""

import itertools
import math
from functools import cache

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pfmap import Cube, IncompatibleTables, InvalidInput, Points, TruthTables, complexity, symmetry
from pfmap.streams import generator
from pfmap.symmetry import NPN, canonicalize

GENERATORS = {
    "complement": lambda n: [lambda t: t.complement()],
    "reversal": lambda n: [lambda t: t.flip_inputs(range(n))],
    "input_flips": lambda n: [lambda t, i=i: t.flip_inputs([i]) for i in range(n)],
    "input_permutations": lambda n: [
        lambda t, i=i: t.permute_inputs([*range(i), i + 1, i, *range(i + 2, n)]) for i in range(n - 1)
    ],
}
GROUPS = [frozenset(g) for size in range(5) for g in itertools.combinations(GENERATORS, size)]


def name(group):
    return "+".join(sorted(group)) or "identity"


@cache
def every_function(n):
    return TruthTables.from_ints(range(1 << (1 << n)), n)


def orbits_by_generators(n, group):
    """A label of each function's orbit, from the graph whose edges join f to g f for every generator g."""
    every = every_function(n)
    size = len(every)
    images = [g(every).words()[:, 0].astype(np.int64) for kind in group for g in GENERATORS[kind](n)]
    targets = np.concatenate([np.arange(size), *images])
    sources = np.tile(np.arange(size), len(images) + 1)
    return connected_components(coo_array((np.ones(len(targets)), (sources, targets)), shape=(size, size)))[1]


def same_partition(representatives, labels):
    """Both ways: one representative an orbit, and one orbit a representative."""
    pairs = np.unique(np.stack([representatives.words()[:, 0].astype(np.int64), labels]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


@pytest.mark.parametrize("group", GROUPS, ids=name)
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_orbits_of_every_function_of_few_inputs(n, group):
    labels = orbits_by_generators(n, group)
    found = canonicalize(every_function(n), group=group)
    assert same_partition(found.representatives, labels)
    np.testing.assert_array_equal(labels[found.representatives.words()[:, 0]], labels)
    np.testing.assert_array_equal(found.orbit_sizes, np.bincount(labels)[labels])
    order = math.factorial(n) if "input_permutations" in group else 1
    order *= 2**n if "input_flips" in group else 2 if "reversal" in group else 1
    order *= 2 if "complement" in group else 1
    np.testing.assert_array_equal(found.orbit_sizes * found.automorphisms, order)


def test_breaking_no_ties_is_caught():
    """A planted fault: inputs sorted by the number of ones where they are 1, equal ones left as they come."""
    n, every = 3, every_function(3)
    ones = every.bits().astype(int) @ Cube(n).points()
    lazy = [every[i].permute_inputs(np.argsort(ones[i], kind="stable")).ints()[0] for i in range(len(every))]
    labels = orbits_by_generators(n, {"input_permutations"})
    assert not same_partition(TruthTables.from_ints(lazy, n), labels)


@pytest.mark.parametrize(
    ("group", "counts"),
    [
        ({"input_permutations"}, [4, 12, 80, 3984]),  # OEIS A003180
        ({"input_permutations", "input_flips"}, [3, 6, 22, 402]),  # A000616
        (NPN, [2, 4, 14, 222]),  # A000370
    ],
    ids=["P", "NP", "NPN"],
)
def test_known_numbers_of_classes(group, counts):
    found = [canonicalize(every_function(n), group=group).representatives.packed for n in (1, 2, 3, 4)]
    assert [len(np.unique(packed, axis=0)) for packed in found] == counts


def test_the_616126_classes_of_five_inputs_and_their_sizes():
    """Each class has a member whose first half is the representative of a class of n = 4 no later than its second's."""
    four = canonicalize(every_function(4)).representatives
    classes, which = np.unique(four.ints(), return_inverse=True)
    halves = np.arange(1 << 16, dtype=np.uint64)
    members = [np.uint64(first) | halves[which >= c] << np.uint64(16) for c, first in enumerate(classes)]
    found = canonicalize(TruthTables.from_words(np.concatenate(members)[:, None], Cube(5)))
    representatives, at = np.unique(found.representatives.words(), return_index=True)
    assert len(representatives) == 616126
    assert found.orbit_sizes[at].sum() == 1 << 32


def hard_functions(n):
    """Where invariants tie: symmetric, quadratic, balanced and sparse functions, with and without idle inputs."""
    rng = generator(0, f"symmetry-{n}")
    x = Cube(n).points().astype(int)
    cycle = sum(x[:, i] * x[:, (i + 1) % n] for i in range(n))
    pairs = sum(x[:, i] * x[:, i + 1] for i in range(0, n - 1, 2))
    rows = [x[:, 0] * 0, x.sum(1) % 2, x.sum(1) > n // 2, x[:, 1], cycle % 2, pairs % 2, cycle > 1, pairs > 0]
    rows += [x[:, 0] ^ x[:, 2], x[:, :3].sum(1) == 1, (cycle + x.sum(1)) % 2, (x[:, 0] | x[:, 1]) ^ x[:, 2]]
    rows += [rng.permutation(1 << n) < weight for weight in (1, 2, 3, 4, 1 << (n - 1), 1 << (n - 1))]
    return TruthTables.from_bits(np.array(rows).astype(bool))


def some_functions(n, size=300):
    rng = generator(0, f"symmetry-some-{n}")
    return TruthTables.from_bits(rng.random((size, 1 << n)) < rng.random((size, 1)))


@pytest.mark.parametrize("group", GROUPS, ids=name)
@pytest.mark.parametrize("n", [5, 6, 7])
def test_random_group_elements_change_nothing(n, group, rng):
    for tables in (hard_functions(n), some_functions(n)):
        found = canonicalize(tables, group=group)
        again = canonicalize(found.representatives, group=group)
        assert again.representatives == found.representatives
        for _ in range(4):
            moved = tables
            for kind in group:
                for g in GENERATORS[kind](n):
                    moved = g(moved) if rng.random() < 0.5 else moved
            if "input_permutations" in group:
                moved = moved.permute_inputs(rng.permutation(n))
            there = canonicalize(moved, group=group)
            assert there.representatives == found.representatives
            np.testing.assert_array_equal(there.orbit_sizes, found.orbit_sizes)


def whole_orbit(bits, group):
    """g f of every group element g: uint8[|G|, 2^n]."""
    n = len(bits).bit_length() - 1
    points = Cube(n).points().astype(np.int64)
    powers = 1 << np.arange(n - 1, -1, -1)
    orders = itertools.permutations(range(n)) if "input_permutations" in group else [tuple(range(n))]
    flips = np.arange(1 << n) if "input_flips" in group else np.array([0])
    images = np.concatenate([bits[(points[:, list(order)] @ powers) ^ flips[:, None]] for order in orders])
    return np.concatenate([images, 1 - images]) if "complement" in group else images


@pytest.mark.parametrize(
    ("n", "group"), [(5, NPN), (6, NPN), (7, NPN - {"input_flips"}), (7, NPN - {"input_permutations"})]
)
def test_whole_orbits(n, group):
    tables = hard_functions(n)[:: 3 if n == 6 else 1]
    found = canonicalize(tables, group=group)
    for row, bits in enumerate(tables.bits()):
        orbit = np.packbits(whole_orbit(bits, group), axis=1, bitorder="little")
        assert len(set(map(bytes, orbit))) == found.orbit_sizes[row]
        assert (orbit == tables.packed[row]).all(axis=1).sum() == found.automorphisms[row]
        assert (orbit == found.representatives.packed[row]).all(axis=1).any()


def test_functions_equal_under_no_input_order_have_different_canonical_tables():
    found = canonicalize(TruthTables.from_callables([lambda x: x[0] & x[1], lambda x: x[0] | x[1]], 7))
    assert found.representatives[0] == found.representatives[1]
    apart = canonicalize(
        TruthTables.from_callables([lambda x: x[0] & x[1], lambda x: x[0] | x[1]], 7), group={"input_permutations"}
    )
    assert apart.representatives[0] != apart.representatives[1]


def test_no_tables_at_all():
    found = canonicalize(every_function(2)[:0])
    assert len(found.representatives) == len(found.orbit_sizes) == len(found.automorphisms) == 0


def test_one_symmetry_by_name_and_the_type_that_measures_use():
    gate = TruthTables.from_strings(["0010"])
    assert canonicalize(gate, group="complement").group == {"complement"}
    assert complexity.protocol.Symmetry is symmetry.Symmetry


@pytest.mark.parametrize("group", ["NPN", {"permutations"}, {1}, None, 3, [["complement"]]])
def test_other_groups_are_refused(group):
    with pytest.raises(InvalidInput, match="any of complement, reversal, input_flips, input_permutations"):
        canonicalize(every_function(2), group=group)


@pytest.mark.parametrize("wrong", ["0110", ["0110"], np.zeros((1, 1), np.uint8), None])
def test_other_things_than_tables_are_refused(wrong):
    with pytest.raises(InvalidInput, match="needs TruthTables"):
        canonicalize(wrong)


def test_more_inputs_and_points_are_refused():
    with pytest.raises(InvalidInput, match=r"8 inputs; .* at most 7"):
        canonicalize(some_functions(8, 1))
    with pytest.raises(IncompatibleTables, match="cube"):
        canonicalize(TruthTables.from_bits([[0, 1, 1]], Points(3)))
