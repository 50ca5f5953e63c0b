"""Binary decision diagrams: trees of decisions that share equal subtrees and read the inputs in one order."""

from __future__ import annotations

import numpy as np

from pfmap.complexity.protocol import EVERY_SYMMETRY, Values, measure
from pfmap.kernels.bdd import smallest_diagrams
from pfmap.tables import TruthTables


@measure(
    unit="decision nodes",
    invariance=EVERY_SYMMETRY,
    is_code_length=False,
    max_inputs=12,
    instead="complexity.lempel_ziv, or a package that reorders by sifting, such as dd, for an upper bound",
)
def robdd_size(tables: TruthTables) -> Values:
    """Decision nodes of the smallest reduced ordered binary decision diagram of f, over all n! input orders.

        size(f, order) = sum over levels of the distinct restrictions of f by the inputs above that depend on this one

    The two terminals are not counted (add 2, or 1 for a constant, where they should be), and edges carry no complement.

    Args:
        tables: functions on a cube of at most 12 inputs.

    Returns:
        float64[size]; 0 for constants, 2n - 1 for parity.

    Raises:
        InvalidInput: more than 12 inputs.

    Error: exact, by dynamic programming over the sets of inputs read last. Cost: O(3^n) a function instead of n! 2^n;
    30000 functions/s at n = 7, 1400 at n = 10, 120 at n = 12 on one core. Source: Bryant 1986, IEEE Trans. Comput.
    35:677; the program is Friedman and Supowit 1990, IEEE Trans. Comput. 39:710. Tests build diagrams in every order.

    Example:
        >>> robdd_size(TruthTables.from_strings(["00000000", "00001111", "00010001", "01101001"]))
        array([0., 1., 2., 5.])
    """
    return smallest_diagrams(tables.bits(), tables.n_inputs).astype(np.float64)
