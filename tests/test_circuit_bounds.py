"""Bounds on circuit size: never on the wrong side of an exact size, and tight where the circuit is known."""

from functools import cache

import numpy as np
import pytest

from pfmap import Cube, InvalidInput, TruthTables, complexity
from pfmap.complexity import tabulated
from pfmap.kernels.circuits import smallest_circuits
from pfmap.kernels.decomposition import decomposed_sizes
from pfmap.streams import generator
from tests.statistics import LEVEL, binomial_p_value

# Functions of five inputs with C = 0, 1, …, 12: Knuth, The Art of Computer Programming 4A, section 7.1.2.
OF_FIVE_INPUTS = [12, 100, 1140, 11570, 109826, 995240, 8430800, 63401728, 383877392, 1519125536, 2123645248]
OF_FIVE_INPUTS += [195366784, 1920]


def some_functions(n, size):
    rng = generator(0, f"bounds-{n}")
    return TruthTables.from_bits(rng.random((size, 1 << n)) < rng.random((size, 1)))


def by_decomposition(tables):
    """Gates of the circuits that decomposition finds, at any number of inputs."""
    return decomposed_sizes(tables.bits(), tables.n_inputs, *smallest_circuits())


def smallest_gate_sets(n, most, *, with_xor=True):
    """C of every function of n inputs that has C <= most, up to complement: sets of gates, breadth first."""
    everything = (1 << (1 << n)) - 1
    inputs = TruthTables.from_callables([lambda x, i=i: x[i] for i in range(n)], n).ints()
    size = dict.fromkeys([0, *inputs], 0)
    level = {frozenset()}
    for gates in range(1, most + 1):
        larger = set()
        for chosen in level:
            have = [*inputs, *chosen]
            for i, f in enumerate(have):
                for g in have[:i]:
                    for made in (f & g, f & ~g, ~f & g, f | g, f ^ g)[: 5 if with_xor else 4]:
                        size.setdefault(made, gates)
                        if gates < most and made and made not in have:
                            larger.add(chosen | {made})
        level = larger
    assert everything not in size
    return size


def test_bounds_are_exact_up_to_four_inputs():
    for n in (1, 2, 3, 4):
        tables = TruthTables.from_ints(range(1 << (1 << n)), n)
        for bound in complexity.circuit_size_bounds(tables):
            np.testing.assert_array_equal(bound, complexity.circuit_size(tables))


def test_decomposition_of_every_function_of_five_inputs_and_four_gates():
    size = smallest_gate_sets(5, 4)
    counted = np.bincount(list(size.values()))
    assert (2 * counted).tolist() == OF_FIVE_INPUTS[:5]
    tables = TruthTables.from_ints(size, 5)
    exact = np.array(list(size.values()))
    for bound in complexity.circuit_size_bounds(tables):
        np.testing.assert_array_equal(bound, exact)
    decomposed = by_decomposition(tables)
    assert np.all(exact <= decomposed)
    assert np.mean(decomposed) < 1.05 * np.mean(exact)


def test_circuits_of_and_and_or_of_every_function_of_four_gates():
    size = smallest_gate_sets(4, 4, with_xor=False)
    found = complexity.and_or_circuit_size(TruthTables.from_ints(size, 4))
    np.testing.assert_array_equal(found, list(size.values()))
    assert 2 * len(size) == 10 + 48 + 256 + 940 + 2336


def test_bounds_of_random_functions_of_five_inputs(rng):
    """Law: 20,000 uniform functions; high <= k implies C <= k, which has a known probability for every k.

    The smallest fault sought is one gate missing: high - 1 crosses the law. The mean is within 1.2 of exact.
    """
    n_functions = 20_000
    high = by_decomposition(TruthTables.from_bits(rng.random((n_functions, 32)) < 0.5))
    at_most = np.cumsum(OF_FIVE_INPUTS) / 2**32

    def plausible(high):
        excess = [k for k in range(13) if np.sum(high <= k) > n_functions * at_most[k]]
        return all(binomial_p_value(int(np.sum(high <= k)), n_functions, at_most[k]) >= LEVEL / 13 for k in excess)

    assert sum(OF_FIVE_INPUTS) == 2**32
    assert plausible(high)
    assert not plausible(high - 1)
    exact_mean = sum(k * count for k, count in enumerate(OF_FIVE_INPUTS)) / 2**32
    assert exact_mean < high.mean() < 1.2 * exact_mean


def test_decomposition_is_never_below_exact_and_close_to_it(rng):
    """Of 20,000 classes of five inputs drawn uniformly, the mean ratio to the exact size is at most 1.2.

    Where the size is not settled it is 10 at least, which makes the ratio, if anything, larger.
    """
    classes, _, _ = tabulated.read_tables()
    words = rng.choice(classes, 20_000, replace=False).astype(np.uint64)[:, None]
    tables = TruthTables.from_words(words, Cube(5))
    low, high = complexity.circuit_size_bounds(tables)
    decomposed = by_decomposition(tables)
    assert np.all(decomposed >= low)
    some = low > 0
    assert np.mean(decomposed[some] / low[some]) <= 1.2
    assert np.mean(high) <= np.mean(decomposed)


@pytest.mark.parametrize("n", [5, 6, 7, 10])
def test_one_more_gate_for_one_more_input(n):
    """C(x op f) = C(f) + 1 for an input x that f does not read: fixing x removes a gate."""
    rng = generator(0, f"read-once-{n}")
    core = TruthTables.from_bits(rng.random((30, 16)) < 0.5)
    exact = complexity.circuit_size(core)
    bits = core.bits()
    for i in range(n - 4):
        x = np.arange(2)[None, :, None]
        f = bits[:, None, :]
        grown = (f & x, f | x, f ^ x)[(n + i) % 3]
        bits, exact = grown.reshape(len(grown), -1), exact + 1
    order = list(rng.permutation(n))
    tables = TruthTables.from_bits(bits).permute_inputs(order)
    low, high = complexity.circuit_size_bounds(tables)
    np.testing.assert_array_equal(high, exact)
    assert np.all(low <= exact)


@pytest.mark.parametrize("n", [5, 7])
def test_functions_that_ignore_inputs_cost_no_more(n):
    core = some_functions(4, 200)
    tables = TruthTables.from_bits(np.repeat(core.bits(), 1 << (n - 4), axis=1))
    low, high = complexity.circuit_size_bounds(tables)
    np.testing.assert_array_equal(high, complexity.circuit_size(core))
    assert np.all(low <= high)


@cache
def exact_of_four_inputs():
    every = TruthTables.from_ints(range(1 << 16), 4)
    return dict(zip(every.strings(), complexity.circuit_size(every).astype(int), strict=True))


@cache
def gates_without_sharing(s):
    """The decomposition written out; four inputs cost their exact circuits."""
    if len(s) == 16:
        return exact_of_four_inputs()[s]
    best, width = 99, len(s)
    while width > 1:
        f0 = "".join(s[at : at + width // 2] for at in range(0, len(s), width))
        f1 = "".join(s[at + width // 2 : at + width] for at in range(0, len(s), width))
        fx = "".join("01"[a != b] for a, b in zip(f0, f1, strict=True))
        width //= 2
        zero, one, xor = (gates_without_sharing(f) for f in (f0, f1, fx))
        constants = [len(set(f)) == 1 for f in (f0, f1, fx)]
        if constants[2]:
            total = zero + (fx[0] == "1" and not constants[0])
        elif constants[0] or constants[1]:
            total = zero + one + 1
        else:
            total = min(zero + one + 3, zero + xor + 2, one + xor + 2)
        best = min(best, total)
    return best


@pytest.mark.parametrize(("n", "size"), [(5, 60), (6, 20), (7, 3)])
def test_sharing_only_saves(n, size):
    tables = some_functions(n, size)
    high = by_decomposition(tables)
    unshared = np.array([gates_without_sharing(s) for s in tables.strings()])
    assert np.all(high <= unshared)
    assert np.any(high < unshared)
    assert np.all(high >= 0.6 * unshared)


def test_known_circuits():
    x = Cube(7).points().astype(int)
    tables = TruthTables.from_bits(np.array([0 * x[:, 0], x[:, 6], x.min(1), x.max(1), x.sum(1) % 2], bool))
    for bound in complexity.circuit_size_bounds(tables):
        np.testing.assert_array_equal(bound, [0, 0, 6, 6, 6])
    np.testing.assert_array_equal(
        complexity.circuit_size_bounds(tables)[1], complexity.circuit_size_bounds(tables.complement())[1]
    )


def test_refuses_what_it_cannot_bound():
    with pytest.raises(InvalidInput, match=r"11 inputs; it answers for at most 10; use"):
        complexity.circuit_size_bounds(TruthTables.from_ints([1], 11))
    with pytest.raises(InvalidInput, match="needs TruthTables"):
        complexity.circuit_size_bounds(["0110"])
