"""Clusters counted: all of their functions, their orbits, what came twice, or a fixed set.

Constants are the most frequent functions by far and are counted apart. Of the others most are new, so each asks for
its place in the table while the cluster is still gone through.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64
from numpy.typing import NDArray

from pfmap.kernels.canonical import canonical_scratch, canonicalize_rows
from pfmap.kernels.counting import ClusterCountTable, Marks, find_slot, hash_key, keep_repeated, mark_keys, prefetch
from pfmap.kernels.members import MemberIndex, look_up
from pfmap.kernels.reuse import ClusterPlan, cluster_scratch, next_cluster


@njit(nogil=True, cache=True)
def _set_constants_apart(keys, full, others):
    """List the rows that are no constant; returns how many, the zeros and the ones.

    Constants are the most frequent functions by far, so there is no branch on them.
    """
    ones, n_others = uint64(0), 0
    for r in range(len(keys)):
        word = keys[r, 0]
        is_other = (word != uint64(0)) & (word != full)
        for w in range(1, keys.shape[1]):
            is_other |= keys[r, w] != word
        others[n_others] = r
        n_others += is_other
        ones += word & uint64(not is_other)
    return n_others, len(keys) - n_others - np.int64(ones), np.int64(ones)


def _full_word(plan: ClusterPlan) -> np.uint64:
    return np.uint64((1 << min(64, 1 << plan.settings[0])) - 1)


@njit(nogil=True, cache=True)
def _mark_clusters(plan, s, seed, first, count, stream, full, cells, shift):
    left = 0
    for drawn in range(count):
        left = next_cluster(plan, s, seed, first + uint64(drawn), stream, drawn + 1, left)
        others = _set_constants_apart(s.keys, full, s.rows)[0]
        mark_keys(cells, shift, s.keys, s.rows[:others])


def mark_clusters(plan: ClusterPlan, seed: int, first: int, count: int, stream: int, marks: Marks) -> None:
    """Mark the functions of clusters, but for the constants; arguments as of count_clusters."""
    where = np.uint64(seed), np.uint64(first), count, stream, _full_word(plan)
    _mark_clusters(plan, cluster_scratch(plan), *where, marks.cells, marks.shift)


@njit(nogil=True, cache=True)
def _to_orbits(keys, n_rows, n, symmetries, rows, low, high, automorphisms, scratch):
    """Replace the listed keys by their canonical ones, from the first row of keys on."""
    for e in range(n_rows):
        low[e], high[e] = keys[rows[e], 0], keys[rows[e], 1] if n == 7 else uint64(0)
    canonicalize_rows(low[:n_rows], high[:n_rows], n, symmetries, automorphisms[:n_rows], scratch)
    for e in range(n_rows):
        rows[e], keys[e, 0] = e, low[e]
        if n == 7:
            keys[e, 1] = high[e]


@njit(nogil=True, cache=True)
def _merge(keys, n_rows, rows, counts, hashes, local, flat, stride, mask):
    """Distinct ones among the listed keys, in place of the list, with counts and hashes; returns their number.

    Asks for the slot of each in the table that comes next. `local` is all 0 before and after.
    """
    seen, local_mask = 0, uint64(len(local) - 1)
    for e in range(n_rows):
        r = rows[e]
        x = hash_key(keys, r)
        prefetch(flat, np.int64(x & mask) * stride)
        slot = (x >> uint64(40)) & local_mask
        while True:
            known = local[slot] - 1
            if known < 0:
                rows[seen], counts[seen], hashes[seen] = r, 1, x
                seen += 1
                local[slot] = seen
                break
            same = True
            for w in range(keys.shape[1]):
                same &= keys[r, w] == keys[rows[known], w]
            if same:
                counts[known] += 1
                break
            slot = (slot + uint64(1)) & local_mask
    local[:] = 0
    return seen


@njit(nogil=True, cache=True)
def _count_clusters(
    plan, s, seed, first, count, stream, full, symmetries, orbits, cells, shift, slots, room, constants
):
    """Clusters into a table, until all are drawn or no room is left; returns clusters and keys new to the table.

    Row 0 of `constants` takes counts and squares of 0, row 1 those of 1; with complement in the group row 0 takes both.
    """
    R, stride = len(s.keys), slots.shape[1]
    flat, mask, width = slots.reshape(-1), uint64(len(slots) - 1), stride - 2
    pooled, complement = symmetries[0] or symmetries[1] or symmetries[2] or symmetries[3], symmetries[3]
    low, high, automorphisms, scratch = orbits
    left, drawn, new = 0, 0, 0
    while drawn < count and new + R <= room:
        left = next_cluster(plan, s, seed, first + uint64(drawn), stream, drawn + 1, left)
        others, zeros, ones = _set_constants_apart(s.keys, full, s.rows)
        if complement:
            zeros, ones = zeros + ones, 0
        for constant, times in ((0, zeros), (1, ones)):
            constants[constant, 0] += times
            constants[constant, 1] += times * times
        if len(cells):
            others = keep_repeated(cells, shift, s.keys, s.rows[:others])
        if pooled:
            _to_orbits(s.keys, others, plan.settings[0], symmetries, s.rows, low, high, automorphisms, scratch)
        seen = _merge(s.keys, others, s.rows, s.counts, s.hashes, s.slots, flat, stride, mask)
        for e in range(seen):
            base, is_new = find_slot(flat, stride, np.int64(mask), s.keys, s.rows[e], np.int64(s.hashes[e] & mask))
            new += is_new
            k = s.counts[e]
            flat[base + width] += k
            flat[base + width + 1] += k * k
        drawn += 1
    return drawn, new


def count_clusters(
    plan: ClusterPlan, seed: int, first: int, count: int, stream: int, table: ClusterCountTable,
    symmetries: tuple[bool, bool, bool, bool] = (False,) * 4, marks: Marks | None = None,
) -> None:  # fmt: skip
    """Add the functions of clusters first … first + count - 1 of a stream of a seed to a table, or their orbits.

    Args:
        plan: the network and its reuse.
        seed: 0 to 2^64 - 1.
        first: index of the first cluster.
        count: clusters.
        stream: the stream of the seed that holds their latents.
        table: of the plan's n_words.
        symmetries: permutations, flips, reversal and complement, as of canonical_tables; with any, at most 7 inputs.
        marks: of the same clusters and more; functions that came but once in all of them are passed over.
    """
    scratch, full = cluster_scratch(plan), _full_word(plan)
    R = plan.cluster_size if any(symmetries) else 0
    orbits = np.empty(R, np.uint64), np.empty(R, np.uint64), np.empty(R, np.int64), canonical_scratch()
    constants = np.zeros((2, 2), np.int64)
    cells, shift = (np.empty(0, np.uint64), np.uint64(0)) if marks is None else (marks.cells, marks.shift)
    done = 0
    while done < count:
        room = table.make_room(plan.cluster_size)
        scratch.held[:] = 0
        where = np.uint64(seed), np.uint64(first + done), count - done, stream, full
        into = symmetries, orbits, cells, shift, table.slots, room, constants
        drawn, new = _count_clusters(plan, scratch, *where, *into)
        table.size += new
        done += drawn
    came = constants[:, 0] > 0
    keys = np.repeat(np.array([[0], [full]], np.uint64), plan.n_words, axis=1)
    table.add(keys[came], constants[came, 0], constants[came, 1])


@njit(nogil=True, cache=True)
def _count_members(plan, s, seed, first, count, stream, full, bitmap, slots, constants, tally, touched, totals):
    """Add each cluster's counts of members to totals[:, 0] and their squares to totals[:, 1]."""
    bits, mask, width = uint64(64 * len(bitmap) - 1), uint64(len(slots) - 1), slots.shape[1]
    flat = slots.reshape(-1)
    left = 0
    for drawn in range(count):
        left = next_cluster(plan, s, seed, first + uint64(drawn), stream, drawn + 1, left)
        others, zeros, ones = _set_constants_apart(s.keys, full, s.rows)
        likely = 0
        for e in range(others):
            r = s.rows[e]
            x = hash_key(s.keys, r)
            bit = (x >> uint64(32)) & bits
            prefetch(flat, np.int64(x & mask) * width)
            s.rows[likely] = r
            likely += (bitmap[bit >> uint64(6)] >> (bit & uint64(63))) & uint64(1) != uint64(0)
        n_touched = 0
        for e in range(likely):
            member = look_up(s.keys, s.rows[e], slots)
            if member >= 0:
                if tally[member] == 0:
                    touched[n_touched] = member
                    n_touched += 1
                tally[member] += 1
        for member, times in ((constants[0], zeros), (constants[1], ones)):
            if member >= 0 and times:
                if tally[member] == 0:
                    touched[n_touched] = member
                    n_touched += 1
                tally[member] += times
        for member in touched[:n_touched]:
            k = np.int64(tally[member])
            totals[member, 0] += k
            totals[member, 1] += k * k
            tally[member] = 0


def count_members(
    plan: ClusterPlan, seed: int, first: int, count: int, stream: int, index: MemberIndex
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often members of a fixed set come in some clusters, and their counts within clusters, squared and summed.

    Both are int64[n_members]; arguments as in count_clusters.
    """
    scratch = cluster_scratch(plan)
    tally, touched = np.zeros(index.n_members, np.int32), np.empty(plan.cluster_size + 2, np.int64)
    totals = np.zeros((index.n_members, 2), np.int64)
    where = (np.uint64(seed), np.uint64(first), count, stream, _full_word(plan))
    _count_members(plan, scratch, *where, index.bitmap, index.slots, index.constants, tally, touched, totals)
    return np.ascontiguousarray(totals[:, 0]), np.ascontiguousarray(totals[:, 1])
