"""Smallest reduced ordered binary decision diagrams over all input orders (Friedman and Supowit 1990).

Let R be the set of inputs read last. The nodes that read v in R first among R are the distinct restrictions of f to R,
over all values of the other inputs, that depend on v. Their number does not depend on the order within or outside R, so

    smallest(R) = min over v in R of smallest(R - v) + nodes(R, v)

Restrictions are numbered within each R: the number of one is the number of the pair of its halves.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


def smallest_diagrams(bits: NDArray[np.uint8], n_inputs: int) -> NDArray[np.int64]:
    """Decision nodes of the smallest ROBDD of each function, terminals not counted: int64[size].

    Args:
        bits: uint8[size, 2^n_inputs], entries 0 and 1.
        n_inputs: n, at most 12.

    Error: exact. Cost: O(3^n) time a function, 6 * 3^n bytes.
    """
    smallest = np.empty(len(bits), np.int64)
    # Halves have one input fewer: at most 2^(2^(k - 1)) differ, and at most 2^(n - k + 1) occur.
    most_halves = max(1 << min(1 << (k - 1), n_inputs - k + 1) for k in range(1, n_inputs + 1))
    _smallest_diagrams(np.ascontiguousarray(bits), n_inputs, most_halves, smallest)
    return smallest


@njit(cache=True, nogil=True)
def _smallest_diagrams(bits, n_inputs, most_halves, smallest):
    n_points = 1 << n_inputs
    everything = n_points - 1
    ternary = np.zeros(n_points, np.int32)  # restriction (R, a) stands at 2 * ternary[R] + ternary[a]
    for mask in range(n_points):
        for v in range(n_inputs):
            ternary[mask] += (mask >> v & 1) * 3**v
    number = np.empty(3**n_inputs, np.int16)
    depends_on = np.zeros(3**n_inputs, np.int16)
    # A pair of halves is known for this R if its stamp is the present one, so nothing is ever cleared.
    stamp = np.zeros(most_halves * most_halves, np.int64)
    known_as = np.zeros(most_halves * most_halves, np.int16)
    now = 0
    nodes = np.empty(n_inputs, np.int64)
    best = np.zeros(n_points, np.int64)
    for row in range(len(bits)):
        for x in range(n_points):
            number[ternary[x]] = bits[row, x]
        for R in range(1, n_points):
            now += 1
            n_known = 0
            nodes[:] = 0
            split = R & -R
            step, at_R = ternary[split], 2 * ternary[R]
            others = everything ^ R
            a = others
            while True:
                at = at_R + ternary[a]
                zero, one = at - 2 * step, at - step
                pair = number[zero] * most_halves + number[one]
                if stamp[pair] != now:
                    stamp[pair], known_as[pair] = now, n_known
                    n_known += 1
                    mask = depends_on[zero] | depends_on[one]
                    if number[zero] != number[one]:
                        mask |= split
                    depends_on[at] = mask
                    for v in range(n_inputs):
                        nodes[v] += mask >> v & 1
                else:
                    depends_on[at] = depends_on[zero] | depends_on[one] | (split if number[zero] != number[one] else 0)
                number[at] = known_as[pair]
                if a == 0:
                    break
                a = (a - 1) & others
            fewest = everything << 4
            for v in range(n_inputs):
                if R >> v & 1:
                    fewest = min(fewest, best[R ^ (1 << v)] + nodes[v])
            best[R] = fewest
        smallest[row] = best[everything]
