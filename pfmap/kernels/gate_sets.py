"""Search for the smallest circuits of functions of two to five inputs: sets of gates, up to symmetry.

A set of gates (as functions) is a circuit if it can be ordered so that each is a gate of earlier ones or inputs. An
element is pending in it if some way to draw the circuit leaves the element to be used by a later gate:

    a gate,    if the others form a circuit without it;
    an input,  if no gate reads it, or only one, whose other operand is an input too.

Let f = g op h end a circuit of r gates, none to spare. A gate uses two elements at most and is pending itself, so each
gate more lowers the pending elements by one at most, and with k gates placed at most r - k + 1 may be pending. Left out
are circuits where f = g op x_i, or where one gate alone reads an input and joins it to another input: functions of
r - 1 gates lead to these. The same set with another gate last is reached once, from the gate of least invariant.

Functions are normal, 0 at the point 0, and 32-bit words as int64: entry j at bit j. Those of n < 5 inputs ignore the
first 5 - n.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pfmap.kernels.bits import popcount
from pfmap.kernels.canonical import CHANGES, N_CHANGES
from pfmap.kernels.circuits import apply_gate
from pfmap.streams import generator

INPUTS = np.array([0xFFFF0000, 0xFF00FF00, 0xF0F0F0F0, 0xCCCCCCCC, 0xAAAAAAAA], np.int64)

_ALL = 0xFFFFFFFF
_MOST_GATES = 12
_MOST_WAYS = 128  # of deriving one gate: pairs of at most 16 elements, 120
_MOST_CANDIDATES = 5 * 120
_SLOTS = 2048
_MOST_FOUND = 100_000
_SPREAD = 0x1E3779B97F4A7C15
_MASKS = np.array(
    [0] + [int(x) for x in INPUTS] + [int(INPUTS[i] ^ INPUTS[j]) for i in range(5) for j in range(i)],
    np.int64,
)
_ORDER = np.array([0] + [1] * 5 + [2] * 10, np.int64)
_HASH = generator(5, "gate sets").integers(0, 1 << 56, (3, 17))


def workspace(n_inputs, *, with_xor):
    """Arrays that hold a set of gates as it grows: one a thread. Without XOR, gates are AND and OR."""
    elements = np.zeros(n_inputs + _MOST_GATES, np.int64)
    elements[:n_inputs] = INPUTS[-n_inputs:]
    return (
        elements,  # elements: inputs, then gates in order
        np.zeros(_MOST_GATES + 1, np.int64),  # an invariant of each gate
        np.zeros((_MOST_GATES + 1, _MOST_GATES, _MOST_WAYS), np.int64),  # after k gates: pairs that make each gate
        np.zeros((_MOST_GATES + 1, _MOST_GATES), np.int64),  # how many
        np.zeros((_MOST_GATES + 1, _MOST_GATES), np.int64),  # elements in all of them
        np.array([n_inputs, 5 if with_xor else 4]),
    )


def first_sets(*, with_xor):
    """The sets of one gate up to symmetry: int64[size, 1]."""
    x, y = INPUTS[-2:]
    return np.array([[x & y], [x ^ y]] if with_xor else [[x & y]], np.int64)


@njit(cache=True, nogil=True)
def _invariant(f):
    # Of the class: the sizes of the Walsh coefficients of order 0, 1, 2.
    total = 0
    for i in range(len(_MASKS)):
        total += _HASH[_ORDER[i], abs(16 - popcount(np.uint64(f ^ _MASKS[i])))]
    return total


@njit(cache=True, nogil=True)
def _ways_to_make(g, elements, n, with_xor, ways):
    # Pairs of the first n elements that make g, as masks.
    n_ways = 0
    for i in range(n):
        s = elements[i]
        if g & ~s == 0:
            for j in range(i):
                t = elements[j]
                if s & t == g or s & ~t == g:
                    ways[n_ways] = 1 << i | 1 << j
                    n_ways += 1
        elif g & s == 0:
            for j in range(i):
                if ~s & elements[j] == g:
                    ways[n_ways] = 1 << i | 1 << j
                    n_ways += 1
        elif s & ~g == 0:
            for j in range(i):
                if s | elements[j] == g:
                    ways[n_ways] = 1 << i | 1 << j
                    n_ways += 1
        t = s ^ g
        for j in range(i if with_xor else 0):
            if elements[j] == t and t & s != 0 and t & ~s != 0 and s & ~t != 0:
                ways[n_ways] = 1 << i | 1 << j
                n_ways += 1
    return n_ways


@njit(cache=True, nogil=True)
def _place(k, g, work):
    """Add gate g to the k gates; False if they do not make it."""
    elements, _, ways, n_ways, always, basis = work
    n_inputs, with_xor = basis[0], basis[1] == 5
    n = n_inputs + k
    new = n_ways[k + 1]
    new[k] = _ways_to_make(g, elements, n, with_xor, ways[k + 1, k])
    if new[k] == 0:
        return False
    elements[n] = g
    in_all = -1
    for t in range(new[k]):
        in_all &= ways[k + 1, k, t]
    always[k + 1, k] = in_all
    bit_g = 1 << n
    for e in range(k):
        f = elements[n_inputs + e]
        count = n_ways[k, e]
        for t in range(count):
            ways[k + 1, e, t] = ways[k, e, t]
        in_all = always[k, e]
        for s in range(n):
            if s == n_inputs + e:
                continue
            h = elements[s]
            made = with_xor and g ^ h == f
            if f & ~g == 0:
                made |= g & h == f or g & ~h == f
            elif f & g == 0:
                made |= ~g & h == f
            elif g & ~f == 0:
                made |= g | h == f
            if made:
                ways[k + 1, e, count] = bit_g | 1 << s
                count += 1
                in_all &= bit_g | 1 << s
        new[e] = count
        always[k + 1, e] = in_all
    return True


@njit(cache=True, nogil=True)
def _is_circuit(k, without, given, work):
    """Whether k gates form a circuit without some elements, if some are given."""
    ways, n_ways, n_inputs = work[2], work[3], work[5][0]
    everything = (1 << (n_inputs + k)) - 1 & ~without
    have = ((1 << n_inputs) - 1 | given) & ~without
    while have != everything:
        before = have
        for e in range(k):
            bit = 1 << (n_inputs + e)
            if have & bit == 0 and without & bit == 0:
                for t in range(n_ways[k, e]):
                    if ways[k, e, t] & ~have == 0:
                        have |= bit
                        break
        if have == before:
            return False
    return True


@njit(cache=True, nogil=True)
def _pending(k, most, canonical_last, work):
    """The pending elements as a mask; -1 if they are more than `most`.

    -1 too, if asked for, where a gate that could come last instead has a smaller invariant than the last one: the same
    set is then reached, up to symmetry, with that gate last.
    """
    _, invariants, ways, n_ways, always, basis = work
    n_inputs = basis[0]
    needed, needed_twice = 0, 0
    for e in range(k):
        needed_twice |= needed & always[k, e]
        needed |= always[k, e]
    pending, count = 0, 0
    for e in range(k - 1, -1, -1):
        bit = 1 << (n_inputs + e)
        if needed & bit == 0 and (e == k - 1 or _is_circuit(k, bit, 0, work)):
            pending |= bit
            count += 1
            if count > most or (canonical_last and invariants[e] < invariants[k - 1]):
                return -1
    inputs = (1 << n_inputs) - 1
    for i in range(n_inputs):
        bit = 1 << i
        if needed_twice & bit:
            continue
        free = needed & bit == 0 and _is_circuit(k, bit, 0, work)
        for e in range(k):
            if free:
                break
            for t in range(n_ways[k, e]):
                pair = ways[k, e, t]
                if pair & bit and pair & ~inputs == 0:
                    free = _is_circuit(k, bit, 1 << (n_inputs + e), work)
                    break
        if free:
            pending |= bit
            count += 1
            if count > most:
                return -1
    return pending


@njit(cache=True, nogil=True)
def _load(gates, work):
    """Place a set of gates, in an order in which each can be made."""
    invariants = work[1]
    placed = 0
    k = 0
    while k < len(gates):
        for i in range(len(gates)):
            if placed >> i & 1 == 0 and _place(k, gates[i], work):
                invariants[k] = _invariant(gates[i])
                placed |= 1 << i
                k += 1


@njit(cache=True, nogil=True)
def _candidates(k, pending, most_pending, work, found, keys, stamps, now):
    """Gates that may come next: [function, invariant] each, in found; their number.

    Judged by the operands at hand, they leave at most so many elements pending, of which none should come last instead.
    """
    elements, invariants, n_inputs, n_kinds = work[0], work[1], work[5][0], work[5][1]
    n = n_inputs + k
    n_pending = popcount(np.uint64(pending))
    n_found = 0
    for i in range(n):
        for j in range(i):
            if n_pending - (pending >> i & 1) - (pending >> j & 1) + 1 > most_pending:
                continue
            most = 0x7FFFFFFFFFFFFFFF
            for e in range(n_inputs, n):
                if pending >> e & 1 and e != i and e != j:
                    most = min(most, invariants[e - n_inputs])
            for which in range(n_kinds):
                g = apply_gate(which, elements[i], elements[j])
                if g == 0:
                    continue
                slot = (g * _SPREAD >> 40) & (_SLOTS - 1)
                while stamps[slot] == now and keys[slot] != g:
                    slot = (slot + 1) & (_SLOTS - 1)
                if stamps[slot] == now:
                    continue
                stamps[slot], keys[slot] = now, g
                known = False
                for e in range(n):
                    known |= elements[e] == g
                if known:
                    continue
                invariant = _invariant(g)
                if invariant <= most:
                    found[n_found, 0], found[n_found, 1] = g, invariant
                    n_found += 1
    return n_found


@njit(cache=True, nogil=True)
def larger_sets(sets, most_pending, work, out):
    """Sets of one more gate with at most so many pending elements, in canonical form with repeats; their number."""
    found = np.empty((_MOST_CANDIDATES, 2), np.int64)
    keys, stamps = np.zeros(_SLOTS, np.int64), np.zeros(_SLOTS, np.int64)
    k, n_inputs = sets.shape[1], work[5][0]
    n_out = 0
    for row in range(len(sets)):
        _load(sets[row], work)
        n_found = _candidates(k, 0, 99, work, found, keys, stamps, row + 1)
        for c in range(n_found):
            _place(k, found[c, 0], work)
            work[1][k] = found[c, 1]
            if _pending(k + 1, most_pending, True, work) != -1:
                if n_out < len(out):
                    _canonical_set(work[0][n_inputs : n_inputs + k + 1], n_inputs, out[n_out])
                n_out += 1
    return n_out


@njit(cache=True, nogil=True, inline="always")
def _flip(f, i):
    mask, shift = INPUTS[i], 16 >> i
    f = (f & mask) >> shift | (f << shift) & mask
    return f ^ _ALL if f & 1 else f


@njit(cache=True, nogil=True, inline="always")
def _exchange(f, i, j):
    # i < j, so that x_i stands for the longer stride.
    shift, mask = (16 >> i) - (16 >> j), INPUTS[i] & ~INPUTS[j]
    moved = (f ^ f << shift) & mask
    return f ^ moved ^ moved >> shift


@njit(cache=True, nogil=True)
def _canonical_set(gates, n_inputs, least):
    """One fixed image of a set of gates under all permutations and flips; its gates ascend."""
    image = np.empty_like(gates)
    least_hash = 0x7FFFFFFFFFFFFFFF
    first = 5 - n_inputs
    has_and = False
    for only_look in (True, False):
        for gate in gates:
            for i in range(first, 5):
                for j in range(first, i):
                    for which in range(5):
                        if gate != apply_gate(which, INPUTS[j], INPUTS[i]):
                            continue
                        if only_look:
                            has_and |= which != 4
                            continue
                        if has_and and which == 4:
                            continue
                        image[:] = gates
                        if which in (1, 3):
                            _flip_all(image, i)
                        if which in (2, 3):
                            _flip_all(image, j)
                        # The gate is now the AND or XOR of x_i and x_j: bring these to the end.
                        if i != 4:
                            _exchange_all(image, i, 4)
                        if j != 3:
                            _exchange_all(image, j, 3)
                        least_hash = _over_stabilizer(image, first, which == 4, least, least_hash)


@njit(cache=True, nogil=True)
def _flip_all(image, i):
    for e in range(len(image)):
        image[e] = _flip(image[e], i)


@njit(cache=True, nogil=True)
def _exchange_all(image, i, j):
    for e in range(len(image)):
        image[e] = _exchange(image[e], i, j)


@njit(cache=True, nogil=True)
def _over_stabilizer(image, first, flip_last_two, least, least_hash):
    # All permutations and flips that keep the last two inputs a pair. A hash picks the image; should two images share
    # it, an orbit may come up under both: once more than needed.
    n_flips = 1 << (5 - first if flip_last_two else 3 - first)
    for _ in range(2):
        for step in range(6 if first == 0 else 2 if first == 1 else 1):
            for code in range(1, n_flips + 1):
                total = 0
                for f in image:
                    x = f * _SPREAD
                    x ^= x >> 29 & 0x7FFFFFFFF
                    total += x * 0x3F58476D1CE4E5B9 >> 8
                if total < least_hash:
                    least_hash = total
                    least[:] = np.sort(image)
                if code < n_flips:
                    _flip_all(image, first + _lowest_bit(code))
            if first < 2:
                at = step % 2 if first == 0 else 1  # neighbours in turn: all orders of the other inputs
                _exchange_all(image, at, at + 1)
        _exchange_all(image, 3, 4)
    return least_hash


@njit(cache=True, nogil=True, inline="always")
def _lowest_bit(code):
    return popcount(np.uint64((code & -code) - 1))


@njit(cache=True, nogil=True)
def search(sets, n_gates, reached, work, visited):
    """Mark in a bitmap by f >> 1 what circuits of n_gates reach that start with one of the sets, bar those left out.

    Args:
        sets: int64[size, at most n_gates - 2], all sets of so many gates up to symmetry.
        n_gates: of the whole circuits.
        reached: uint8[2^28].
        work: as of `workspace`.
        visited: int64[n_gates]; counts sets by their number of gates.
    """
    elements, invariants = work[0], work[1]
    start, end = sets.shape[1], n_gates - 2
    found = np.empty((_MOST_GATES, _MOST_CANDIDATES, 2), np.int64)
    n_found, at = np.zeros(_MOST_GATES, np.int64), np.zeros(_MOST_GATES, np.int64)
    keys, stamps = np.zeros(_SLOTS, np.int64), np.zeros(_SLOTS, np.int64)
    now = 0
    for row in range(len(sets)):
        _load(sets[row], work)
        pending = _pending(start, n_gates - start + 1, False, work)
        if pending == -1:
            continue
        visited[start] += 1
        if start == end:
            _last_two_gates(end, pending, elements, work[5], reached)
            continue
        now += 1
        k = start
        n_found[k] = _candidates(k, pending, n_gates - k, work, found[k], keys, stamps, now)
        at[k] = 0
        while k >= start:
            if at[k] == n_found[k]:
                k -= 1
                continue
            _place(k, found[k, at[k], 0], work)
            invariants[k] = found[k, at[k], 1]
            at[k] += 1
            pending = _pending(k + 1, n_gates - k, True, work)
            if pending == -1:
                continue
            visited[k + 1] += 1
            if k + 1 == end:
                _last_two_gates(end, pending, elements, work[5], reached)
            elif k + 2 == end and popcount(np.uint64(pending)) == 4:
                _last_three_gates(pending, elements, work[5], reached)
            else:
                k += 1
                now += 1
                n_found[k] = _candidates(k, pending, n_gates - k, work, found[k], keys, stamps, now)
                at[k] = 0


@njit(cache=True, nogil=True)
def _last_two_gates(k, pending, elements, basis, reached):
    """All f = g op h after k gates, g a gate of two elements and h a gate, that leave nothing else pending."""
    n_inputs, n_kinds = basis
    n = n_inputs + k
    n_pending = popcount(np.uint64(pending))
    for i in range(n):
        for j in range(i):
            left = n_pending - (pending >> i & 1) - (pending >> j & 1)
            rest = pending & ~(1 << i | 1 << j)
            if left > 1 or rest & (1 << n_inputs) - 1:
                continue
            for which in range(n_kinds):
                g = apply_gate(which, elements[i], elements[j])
                for h in range(n_inputs, n):
                    if left == 0 or rest >> h & 1:
                        _mark_gates(g, elements[h], n_kinds, reached)


@njit(cache=True, nogil=True)
def _last_three_gates(pending, elements, basis, reached):
    """All trees of three gates over four pending elements, but those that end in a gate on an input."""
    n_inputs, n_kinds = basis
    four = np.empty(4, np.int64)
    n = 0
    for e in range(len(elements)):
        if pending >> e & 1:
            four[n] = e
            n += 1
    for a in range(4):
        for b in range(a):
            c = 0
            while c in (a, b):
                c += 1
            d = 6 - a - b - c
            y, z = elements[four[c]], elements[four[d]]
            for which in range(n_kinds):
                g = apply_gate(which, elements[four[a]], elements[four[b]])
                for then in range(n_kinds):
                    if four[d] >= n_inputs:
                        _mark_gates(apply_gate(then, g, y), z, n_kinds, reached)
                    if four[c] >= n_inputs:
                        _mark_gates(apply_gate(then, g, z), y, n_kinds, reached)
                    if a == 3:
                        _mark_gates(g, apply_gate(then, y, z), n_kinds, reached)


@njit(cache=True, nogil=True, inline="always")
def _mark_gates(g, h, n_kinds, reached):
    _mark(g & h, reached)
    _mark(g & ~h, reached)
    _mark(~g & h, reached)
    _mark(g | h, reached)
    if n_kinds == 5:
        _mark(g ^ h, reached)


@njit(cache=True, nogil=True, inline="always")
def _mark(f, reached):
    # Most are marked: a look is cheaper than a write.
    if reached[f >> 4] >> (f >> 1 & 7) & 1 == 0:
        reached[f >> 4] |= 1 << (f >> 1 & 7)


@njit(cache=True, nogil=True)
def mark_orbits(functions, reached):
    """Mark all that permutations, flips and complement make of some functions of five inputs."""
    for f in functions:
        image = f ^ _ALL if f & 1 else f
        for step in range(N_CHANGES[5] + 1):
            for code in range(1, 33):
                _mark(image, reached)
                if code < 32:
                    image = _flip(image, _lowest_bit(code))
            if step < N_CHANGES[5]:
                image = _exchange(image, CHANGES[5, step], CHANGES[5, step] + 1)


@njit(cache=True, nogil=True)
def joined(gs, hs, n_kinds, reached):
    """All f = g op h that are not marked yet, at most 100,000; marks them."""
    found = np.empty(_MOST_FOUND, np.int64)
    n_found = 0
    for g in gs:
        for h in hs:
            for which in range(n_kinds):
                f = apply_gate(which, g, h)
                if reached[f >> 4] >> (f >> 1 & 7) & 1 == 0:
                    if n_found == len(found):
                        return found
                    reached[f >> 4] |= 1 << (f >> 1 & 7)
                    found[n_found] = f
                    n_found += 1
    return found[:n_found]
