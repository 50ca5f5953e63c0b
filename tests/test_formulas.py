"""Prime implicants and normal forms against lists of all terms, a slow greedy cover, and a search of all DNFs."""

from itertools import product

import numpy as np
import pytest

from pfmap import InvalidInput, TruthTables, complexity
from pfmap.streams import generator


def some_functions(n, size):
    rng = generator(0, f"formulas-{n}")
    return TruthTables.from_bits(rng.random((size, 1 << n)) < rng.random((size, 1)))


def points_of(term):
    """The points that a term such as "1-0" covers, as numbers."""
    return frozenset(int("".join(x), 2) for x in product(*("01" if c == "-" else c for c in term)))


def literals_of(term):
    return sum(c != "-" for c in term)


def primes_by_definition(s):
    n = (len(s) - 1).bit_length()
    ones = {j for j, c in enumerate(s) if c == "1"}
    implicants = {t: points_of(t) for t in map("".join, product("01-", repeat=n))}
    implicants = {t: p for t, p in implicants.items() if p <= ones}
    return {t: p for t, p in implicants.items() if not any(p < other for other in implicants.values())}


def greedy_by_definition(s):
    primes = primes_by_definition(s)
    order = {t: int("".join({"-": "2"}.get(c, c) for c in t), 3) for t in primes}
    left = {j for j, c in enumerate(s) if c == "1"}
    # In descending order of codes: the order in which terms come decides which superfluous one goes.
    alone = [[t for t in primes if j in primes[t]] for j in left]
    taken = sorted({ts[0] for ts in alone if len(ts) == 1}, key=order.get, reverse=True)
    for t in taken:
        left -= primes[t]
    while left:
        taken.append(min(primes, key=lambda t: (-len(primes[t] & left), literals_of(t), order[t])))
        left -= primes[taken[-1]]
    for t in list(taken):
        others = [primes[u] for u in taken if u != t]
        if primes[t] <= frozenset().union(*others):
            taken.remove(t)
    return [len(taken), sum(map(literals_of, taken))]


def assert_as_defined(tables):
    strings = tables.strings()
    np.testing.assert_array_equal(complexity.prime_implicants(tables), [len(primes_by_definition(s)) for s in strings])
    greedy = np.array([complexity.greedy_dnf_terms(tables), complexity.greedy_dnf_literals(tables)]).T
    np.testing.assert_array_equal(greedy, [greedy_by_definition(s) for s in strings])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_function_of_few_inputs(n):
    assert_as_defined(TruthTables.from_ints(range(1 << (1 << n)), n))


@pytest.mark.parametrize(("n", "size"), [(4, 60), (5, 20), (6, 8), (7, 3)])
def test_random_functions(n, size):
    assert_as_defined(some_functions(n, size))


def cost_of_dnf(dnf):
    return 1000 * len(dnf) + sum(map(literals_of, dnf))


def cost_of_all_smallest_dnfs(n):
    """1000 * terms + literals of every function, by adding terms until nothing gets cheaper."""
    functions = np.arange(1 << (1 << n))
    cost = np.full(len(functions), np.inf)
    cost[0] = 0
    while True:
        before = cost.copy()
        for term in map("".join, product("01-", repeat=n)):
            with_term = functions | sum(1 << j for j in points_of(term))
            np.minimum.at(cost, with_term, before + cost_of_dnf([term]))
        if np.array_equal(cost, before):
            return cost


def test_minimal_dnf_is_the_smallest_of_all():
    for n, step in ((1, 1), (2, 1), (3, 1), (4, 499)):
        tables = TruthTables.from_ints(range(0, 1 << (1 << n), step), n)
        found = [cost_of_dnf(complexity.minimal_dnf(tables[i])) for i in range(len(tables))]
        np.testing.assert_array_equal(found, cost_of_all_smallest_dnfs(n)[::step])


def test_greedy_is_never_below_minimal():
    every = TruthTables.from_ints(range(1 << 16), 4)
    cost = cost_of_all_smallest_dnfs(4)
    terms = complexity.greedy_dnf_terms(every)
    assert np.all(terms >= cost // 1000)
    assert terms.mean() < 1.02 * np.mean(cost // 1000)
    # Prime implicants of a smallest DNF are among all of them.
    assert np.all(cost // 1000 <= complexity.prime_implicants(every))


@pytest.mark.parametrize("n", [5, 6, 7])
def test_minimal_dnf_computes_the_function(n):
    tables = some_functions(n, 6)
    greedy = complexity.greedy_dnf_terms(tables)
    for i, s in enumerate(tables.strings()):
        dnf = complexity.minimal_dnf(tables[i])
        ones = frozenset().union(*map(points_of, dnf))
        assert "".join(str(int(j in ones)) for j in range(1 << n)) == s
        assert len(dnf) <= greedy[i]


@pytest.mark.parametrize("n", [8, 10])
def test_functions_whose_primes_are_known(n):
    x = np.arange(1 << n)[:, None] >> np.arange(n) & 1
    pairs = np.max([x[:, i] & x[:, i + 1] for i in range(0, n, 2)], axis=0)
    rows = [np.zeros(1 << n), np.ones(1 << n), x[:, 0], x.min(1), x.max(1), x.sum(1) % 2, pairs]
    tables = TruthTables.from_bits(np.array(rows, bool))
    half = 1 << (n - 1)
    np.testing.assert_array_equal(complexity.prime_implicants(tables), [0, 1, 1, 1, n, half, n // 2])
    np.testing.assert_array_equal(complexity.greedy_dnf_terms(tables), [0, 1, 1, 1, n, half, n // 2])
    np.testing.assert_array_equal(complexity.greedy_dnf_literals(tables), [0, 0, 1, n, n, n * half, n])


def holds(clause, point):
    return any(c == x for c, x in zip(clause, point, strict=True))


def cost_of_all_smallest_cnfs(n):
    """1000 * clauses + literals of every function, by adding clauses until nothing gets cheaper."""
    functions = np.arange(1 << (1 << n))
    points = [format(j, f"0{n}b") for j in range(1 << n)]
    cost = np.full(len(functions), np.inf)
    cost[-1] = 0
    while True:
        before = cost.copy()
        for clause in map("".join, product("01-", repeat=n)):
            with_clause = functions & sum(1 << j for j, x in enumerate(points) if holds(clause, x))
            np.minimum.at(cost, with_clause, before + cost_of_dnf([clause]))
        if np.array_equal(cost, before):
            return cost


def test_minimal_cnf_is_the_smallest_of_all():
    for n in (1, 2, 3):
        tables = TruthTables.from_ints(range(1 << (1 << n)), n)
        found = [cost_of_dnf(complexity.minimal_cnf(tables[i])) for i in range(len(tables))]
        np.testing.assert_array_equal(found, cost_of_all_smallest_cnfs(n))


@pytest.mark.parametrize("n", [3, 5, 7])
def test_minimal_cnf_computes_the_function(n):
    points = [format(j, f"0{n}b") for j in range(1 << n)]
    tables = some_functions(n, 6)
    for i, s in enumerate(tables.strings()):
        cnf = complexity.minimal_cnf(tables[i])
        assert "".join(str(int(all(holds(clause, x) for clause in cnf))) for x in points) == s


def test_conjunctive_forms_that_are_known():
    majority, zero, one = (TruthTables.from_strings([s]) for s in ("00010111", "0000", "1111"))
    assert complexity.minimal_cnf(majority) == ("11-", "1-1", "-11")
    assert complexity.minimal_dnf(majority.complement()) == ("00-", "0-0", "-00")
    assert (complexity.minimal_cnf(zero), complexity.minimal_cnf(one)) == (("--",), ())


@pytest.mark.parametrize("minimal", [complexity.minimal_dnf, complexity.minimal_cnf], ids=lambda f: f.__name__)
def test_smallest_forms_of_other_things_are_refused(minimal):
    with pytest.raises(InvalidInput, match=f"{minimal.__name__} came with 2 functions"):
        minimal(TruthTables.from_strings(["01", "10"]))
    with pytest.raises(InvalidInput, match=f"{minimal.__name__} came with a list"):
        minimal(["0110"])
    with pytest.raises(InvalidInput, match=rf"{minimal.__name__} .* 8 inputs; .* at most 7; use complexity.greedy_dnf"):
        minimal(TruthTables.from_ints([1], 8))
