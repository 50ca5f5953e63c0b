"""Normal forms: ORs of terms, each an AND of inputs and negated inputs, or ANDs of clauses, each an OR of them.

De Morgan's laws turn a DNF of the complement into a CNF of f, term by term: for clauses instead of terms, ask any
measure here about tables.complement().
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pfmap.complexity.protocol import Values, measure
from pfmap.errors import InvalidInput, PfmapError
from pfmap.kernels.cubes import count_primes, greedy_covers, prime_cubes
from pfmap.tables import TruthTables, require_one_function

MAX_DNF_INPUTS = 10
MAX_EXACT_DNF_INPUTS = 7

_INSTEAD = "complexity.robdd_size, which answers for 12 inputs, or complexity.lempel_ziv"


@measure(
    unit="implicants",
    invariance={"reversal", "input_flips", "input_permutations"},
    is_code_length=False,
    max_inputs=MAX_DNF_INPUTS,
    instead=_INSTEAD,
)
def prime_implicants(tables: TruthTables) -> Values:
    """Number of prime implicants: terms that imply f and that no shorter term contains which does too.

    Those of f and of its complement differ in number, so ask about both.

    Args:
        tables: functions on a cube of at most 10 inputs.

    Returns:
        float64[size]; 0 for constant 0, 1 for constant 1 (the empty term).

    Raises:
        InvalidInput: more than 10 inputs.

    Error: exact. Cost: O(n 3^n) bit operations a function; 120000 random functions/s at n = 7, 1500 at n = 10 on one
    core. Source: Quine 1952, Am. Math. Mon. 59:521; tests list all terms.

    Example:
        >>> prime_implicants(TruthTables.from_strings(["00000000", "00010111", "01101001", "01111110"]))
        array([0., 3., 4., 6.])
    """
    return count_primes(tables.words(), tables.n_inputs).astype(np.float64)


@measure(
    unit="terms",
    invariance={"reversal", "input_flips"},
    is_code_length=False,
    max_inputs=MAX_DNF_INPUTS,
    instead=_INSTEAD,
)
def greedy_dnf_terms(tables: TruthTables) -> Values:
    """Terms of a small DNF of f, no fewer than of the smallest: an upper bound, found greedily.

    Essential prime implicants, then whichever prime covers most of the ones left (with fewest literals, then the
    first), less the terms that the others make superfluous. Ties are settled by input order, so reordering inputs can
    change the value; negating inputs cannot, since terms that trade places then share no point. `minimal_dnf` is exact.

    Args:
        tables: functions on a cube of at most 10 inputs.

    Returns:
        float64[size]; 0 for constant 0, 1 for constant 1 (the empty term).

    Raises:
        InvalidInput: more than 10 inputs.

    Error: an upper bound; over random functions of 7 inputs 3 % above the exact mean. Cost: 40000 random functions/s at
    n = 7, 500 at n = 10 on one core. Source: Chvatal 1979, Math. Oper. Res. 4:233: greedy covers with sets of s points
    are at most 1 + 1/2 + … + 1/s times the smallest.

    Example:
        >>> greedy_dnf_terms(TruthTables.from_strings(["00000000", "00010111", "01101001", "01111110"]))
        array([0., 3., 4., 4.])
    """
    return greedy_covers(tables.words(), tables.n_inputs)[:, 0].astype(np.float64)


@measure(
    unit="literals",
    invariance={"reversal", "input_flips"},
    is_code_length=False,
    max_inputs=MAX_DNF_INPUTS,
    instead=_INSTEAD,
)
def greedy_dnf_literals(tables: TruthTables) -> Values:
    """Literals in all terms of the DNF that `greedy_dnf_terms` counts; no fewer than of the smallest.

    Args:
        tables: functions on a cube of at most 10 inputs.

    Returns:
        float64[size]; 0 for both constants.

    Raises:
        InvalidInput: more than 10 inputs.

    Error: an upper bound. Cost: as `greedy_dnf_terms`. Source: Chvatal 1979, Math. Oper. Res. 4:233.

    Example:
        >>> greedy_dnf_literals(TruthTables.from_strings(["00000000", "00010111", "01101001", "01111110"]))
        array([ 0.,  6., 12.,  8.])
    """
    return greedy_covers(tables.words(), tables.n_inputs)[:, 1].astype(np.float64)


def minimal_dnf(table: TruthTables) -> tuple[str, ...]:
    """The smallest DNF of one function: fewest terms and, among those, fewest literals.

    A term is written as in espresso's PLA files: character i is "1" for x_i, "0" for its negation, "-" where x_i is not
    read. So the DNF size is the length of the tuple, and its literals are the characters other than "-".

    Args:
        table: one function on a cube of at most 7 inputs.

    Returns:
        The terms, all prime implicants; () for constant 0.

    Raises:
        InvalidInput: more than one function, or more than 7 inputs.
        PfmapError: the solver stopped without a proof that the DNF is smallest.

    Error: exact, by integer programming over the prime implicants (HiGHS) with no gap left. Cost: 1 ms at n = 4; at
    n = 7, 15 ms for a balanced random function and 30 ms for one with 80 % ones. Source: Quine 1952 and McCluskey 1956,
    Bell Syst. Tech. J. 35:1417; tests search all DNFs of 4 inputs.

    Example:
        >>> minimal_dnf(TruthTables.from_strings(["00010111"]))
        ('11-', '1-1', '-11')
    """
    return tuple("".join("01-"[digit] for digit in term) for term in _smallest_cover("minimal_dnf", table))


def minimal_cnf(table: TruthTables) -> tuple[str, ...]:
    """The smallest CNF of one function: fewest clauses and, among those, fewest literals.

    A clause is written like a term of `minimal_dnf`, and its literals are joined by OR: character i is "1" for x_i, "0"
    for its negation, "-" where x_i is not read.

    Args:
        table: one function on a cube of at most 7 inputs.

    Returns:
        The clauses, all prime implicates; () for constant 1.

    Raises:
        InvalidInput: more than one function, or more than 7 inputs.
        PfmapError: the solver stopped without a proof that the CNF is smallest.

    Error: exact; each clause negates a term of the complement's smallest DNF. Cost: as `minimal_dnf`. Source: likewise,
    by De Morgan's laws; tests search all CNFs of 3 inputs.

    Example:
        >>> minimal_cnf(TruthTables.from_strings(["00010101"]))  # x_2 AND (x_0 OR x_1)
        ('11-', '--1')
    """
    require_one_function("minimal_cnf", table)
    terms = _smallest_cover("minimal_cnf", table.complement())
    return tuple("".join("10-"[digit] for digit in term) for term in terms)


def _smallest_cover(asker: str, table: TruthTables) -> NDArray[np.int64]:
    """The prime implicants of a smallest DNF: int64[terms, n], 0 for a negated input, 1 for an input, 2 for neither."""
    require_one_function(asker, table)
    n = table.n_inputs
    if n > MAX_EXACT_DNF_INPUTS:
        bound = "greedy_dnf_terms" + (" of tables.complement()" if asker == "minimal_cnf" else "")
        raise InvalidInput(
            f"{asker} came with a function of {n} inputs; it is exact for at most {MAX_EXACT_DNF_INPUTS}; "
            f"use complexity.{bound}, an upper bound up to {MAX_DNF_INPUTS} inputs"
        )
    from scipy.optimize import Bounds, LinearConstraint, milp

    codes, covered = prime_cubes(table.words()[0], n)
    digits: NDArray[np.int64] = codes[:, None] // 3 ** np.arange(n - 1, -1, -1) % 3
    if not len(codes):
        return digits
    ones = np.flatnonzero(table.bits()[0])
    covers = TruthTables.from_words(covered, table.domain).bits()[:, ones].T
    literals = (digits < 2).sum(axis=1)
    one_term = n << n  # more than all literals of any DNF of prime implicants that is smallest
    solution = milp(
        one_term + literals,
        constraints=LinearConstraint(covers, lb=1),
        bounds=Bounds(0, 1),
        integrality=np.ones(len(codes)),
        options={"mip_rel_gap": 0.0},
    )
    if solution.status != 0:
        raise PfmapError(f"the integer program of {asker} ended unproved: {solution.message}")
    chosen: NDArray[np.int64] = digits[solution.x > 0.5]
    return chosen
