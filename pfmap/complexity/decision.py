"""Decision trees that query one input a node: the shallowest, the smallest, and the Bayesian mixture of all."""

from __future__ import annotations

import numpy as np

from pfmap.complexity.protocol import EVERY_SYMMETRY, Values, measure
from pfmap.kernels.lattice import tree_depths, tree_leaves, tree_mixture_bits
from pfmap.tables import TruthTables

MAX_TREE_INPUTS = 10


@measure(unit="queries", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=MAX_TREE_INPUTS)
def decision_tree_depth(tables: TruthTables) -> Values:
    """Decision-tree depth D(f), also called deterministic query complexity: queries in the worst case, best tree.

        D(f) = 0 if f is constant, else 1 + min_i max(D(f | x_i = 0), D(f | x_i = 1))

    Args:
        tables: functions on a cube of at most 10 inputs.

    Returns:
        float64[size], 0 to n.

    Raises:
        InvalidInput: more than 10 inputs.

    Error: exact. Cost: n 3^(n - 1) steps a function; 60000 functions/s at n = 7, 1500 at n = 10 on one core.
    Source: Buhrman and de Wolf 2002, Theor. Comput. Sci. 288:21; tests compare with the recursion itself.

    Example:
        >>> decision_tree_depth(TruthTables.from_strings(["00000000", "00001111", "00010001", "01101001"]))
        array([0., 1., 2., 3.])
    """
    return tree_depths(tables.bits(), tables.n_inputs).astype(np.float64)


@measure(unit="leaves", invariance=EVERY_SYMMETRY, is_code_length=False, max_inputs=MAX_TREE_INPUTS)
def decision_tree_size(tables: TruthTables) -> Values:
    """Decision-tree size: leaves of the tree for f that has fewest; its queries are one fewer.

        S(f) = 1 if f is constant, else min_i S(f | x_i = 0) + S(f | x_i = 1)

    The smallest tree need not be the shallowest.

    Args:
        tables: functions on a cube of at most 10 inputs.

    Returns:
        float64[size], 1 to 2^n; parity reaches 2^n.

    Raises:
        InvalidInput: more than 10 inputs.

    Error: exact. Cost: as `decision_tree_depth`. Source: O'Donnell 2014, Analysis of Boolean Functions, chapter 3;
    tests compare with the recursion itself.

    Example:
        >>> decision_tree_size(TruthTables.from_strings(["00000000", "00001111", "00010001", "01101001"]))
        array([1., 2., 3., 8.])
    """
    return tree_leaves(tables.bits(), tables.n_inputs).astype(np.float64)


@measure(unit="bits", invariance=EVERY_SYMMETRY, is_code_length=True, max_inputs=MAX_TREE_INPUTS)
def decision_tree_mixture(tables: TruthTables) -> Values:
    """Code length -log2 P(f) under the Bayesian mixture of all decision trees, over every order of the inputs.

        P(c) = 1/2 leaf(c) + 1/2 mean_i P(c | x_i = 0) P(c | x_i = 1)     over the free inputs i of subcube c
        leaf(c) = 1/2 KT(c) + 1/4 [c is constant]
        P(c) = 1/2 for a single point

    KT is the Krichevsky-Trofimov probability of a string with b ones among N, Gamma(b + 1/2) Gamma(N - b + 1/2) /
    (pi Gamma(N + 1)). P sums to exactly 1 over all functions, so this is a code length in bits.

    Args:
        tables: functions on a cube of at most 10 inputs.

    Returns:
        float64[size], in bits.

    Raises:
        InvalidInput: more than 10 inputs.

    Error: exact in real arithmetic; rounding stays below 1e-11 bits. Cost: n 3^(n - 1) steps a function; 60000
    functions/s at n = 7, 1200 at n = 10 on one core. Source: Willems, Shtarkov, Tjalkens 1995, IEEE Trans. Inf. Theory
    41:653 (context-tree weighting), with every input a candidate at every node.

    Example:
        >>> decision_tree_mixture(TruthTables.from_strings(["00000000", "01101001"])).round(3)
        array([ 2.28 , 11.183])
    """
    return tree_mixture_bits(tables.bits(), tables.n_inputs)
