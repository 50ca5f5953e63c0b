"""Measures against other people's programs: dd for decision diagrams, sympy for polynomials and normal forms."""

from itertools import permutations

import numpy as np
import pytest
import sympy
from dd import autoref
from sympy.logic.boolalg import And, Or, POSform, SOPform, anf_coeffs

from pfmap import TruthTables, complexity
from pfmap.streams import generator


def every_function(n):
    return TruthTables.from_ints(range(1 << (1 << n)), n)


def some_functions(n, size):
    rng = generator(0, f"oracles-{n}")
    return TruthTables.from_bits(rng.random((size, 1 << n)) < rng.random((size, 1)))


def diagram(s, order):
    """dd's diagram of a truth table string, and the manager that it lives in."""
    bdd = autoref.BDD()
    bdd.declare(*(f"x{i}" for i in order))

    def built(s, i):
        if len(s) == 1:
            return bdd.true if s == "1" else bdd.false
        return bdd.ite(bdd.var(f"x{i}"), built(s[len(s) // 2 :], i + 1), built(s[: len(s) // 2], i + 1))

    return bdd, built(s, 0)


def decision_nodes(root):
    """dd's edges carry complements; without them, a node that is reached with and without one counts twice."""
    seen, left = set(), [root]
    while left:
        u = left.pop()
        if u.var is not None and int(u) not in seen:
            seen.add(int(u))
            left += [~child if u.negated else child for child in (u.low, u.high)]
    return len(seen)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_smallest_diagrams_are_those_of_dd_over_all_orders(n):
    tables = every_function(n) if n < 4 else some_functions(4, 60)
    smallest = [min(decision_nodes(diagram(s, order)[1]) for order in permutations(range(n))) for s in tables.strings()]
    np.testing.assert_array_equal(complexity.robdd_size(tables), smallest)


@pytest.mark.parametrize("n", [5, 7])
def test_reordering_by_dd_finds_no_smaller_diagram(n):
    tables = some_functions(n, 20)
    sifted = []
    for s in tables.strings():
        bdd, root = diagram(s, range(n))
        autoref.reorder(bdd)
        sifted.append(decision_nodes(root))
    exact = complexity.robdd_size(tables)
    assert np.all(exact <= sifted)
    assert np.mean(sifted) < 1.1 * np.mean(exact)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7])
def test_algebraic_normal_forms_are_those_of_sympy(n):
    tables = every_function(n) if n < 4 else some_functions(n, 30)
    coefficients = [np.flatnonzero(anf_coeffs(row.tolist())) for row in tables.bits()]
    np.testing.assert_array_equal(complexity.anf_terms(tables), [len(terms) for terms in coefficients])
    degrees = [np.bitwise_count(terms).max(initial=0) for terms in coefficients]
    np.testing.assert_array_equal(complexity.anf_degree(tables), degrees)


def parts_of(form, outer):
    """Terms of a disjunction of sympy's, or clauses of a conjunction."""
    if form in (sympy.true, sympy.false):
        return int((form == sympy.true) == (outer is Or))  # the empty term, the empty clause, or none
    return len(form.args) if isinstance(form, outer) else 1


@pytest.mark.parametrize(
    ("minimal", "form", "outer"),
    [(complexity.minimal_dnf, SOPform, Or), (complexity.minimal_cnf, POSform, And)],
    ids=["disjunctive", "conjunctive"],
)
@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_smallest_normal_forms_are_those_of_sympy_or_smaller(n, minimal, form, outer):
    """Sympy's Quine-McCluskey takes what is superfluous out of the primes, which is smallest for few inputs."""
    tables = every_function(n) if n < 4 else some_functions(n, 40)
    inputs = sympy.symbols(f"x:{n}")
    exact = np.array([len(minimal(tables[i])) for i in range(len(tables))])
    found = np.array([parts_of(form(inputs, np.flatnonzero(row).tolist()), outer) for row in tables.bits()])
    assert np.all(exact <= found)
    if n < 4:
        np.testing.assert_array_equal(exact, found)
    assert np.mean(exact == found) > 0.9
