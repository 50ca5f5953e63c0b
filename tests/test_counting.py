"""CountTable against collections.Counter and np.unique, on easy keys and on keys chosen to collide."""

from collections import Counter

import numpy as np
import pytest

from pfmap.kernels.counting import ClusterCountTable, CountTable, Marks, keep_repeated, mark_keys


def as_counter(table):
    keys, counts = table.items()
    assert len(keys) == len(counts) == len(table)
    assert keys.dtype == np.uint64
    assert counts.dtype == np.int64
    result = {tuple(key): count for key, count in zip(keys.tolist(), counts.tolist(), strict=True)}
    assert len(result) == len(table), "a key is listed twice"
    return result


def counted(keys, weights=None):
    counter = Counter()
    for i, key in enumerate(keys.tolist()):
        counter[tuple(key)] += 1 if weights is None else int(weights[i])
    return dict(counter)


def random_keys(rng, size, n_words, distinct):
    pool = rng.integers(0, 1 << 64, (distinct, n_words), dtype=np.uint64)
    return pool[rng.integers(0, distinct, size)]


@pytest.mark.parametrize("n_words", [1, 2, 3, 16])
@pytest.mark.parametrize("distinct", [1, 40, 30_000])
def test_keys_are_counted_as_a_dict_counts(rng, n_words, distinct):
    keys = random_keys(rng, 50_000, n_words, distinct)
    table = CountTable(n_words)
    for part in np.array_split(keys, 7):
        table.add(np.ascontiguousarray(part))
    assert as_counter(table) == counted(keys)


@pytest.mark.parametrize("n_words", [1, 2, 3, 16])
def test_weights_add_up(rng, n_words):
    keys = random_keys(rng, 20_000, n_words, 3_000)
    weights = rng.integers(1, 1 << 40, len(keys))
    table = CountTable(n_words)
    table.add(keys[:9_000], weights[:9_000])
    table.add(keys[9_000:], weights[9_000:])
    assert as_counter(table) == counted(keys, weights)
    table.add(keys)  # once each on top
    assert as_counter(table) == counted(np.concatenate([keys, keys]), np.append(weights, np.ones(len(keys), np.int64)))


def test_a_million_keys_as_numpy_counts_them(rng):
    keys = random_keys(rng, 1_000_000, 2, 700_000)
    table = CountTable(2)
    for part in np.array_split(keys, 100):
        table.add(part)
    found, counts = table.items()
    order = np.lexsort(found.T[::-1])
    expected, expected_counts = np.unique(keys, axis=0, return_counts=True)
    np.testing.assert_array_equal(found[order], expected)
    np.testing.assert_array_equal(counts[order], expected_counts)


@pytest.mark.parametrize("expected", [0, 5_000, 20_000])
def test_growth_loses_nothing(expected):
    table, keys = CountTable(1, expected=expected), np.arange(20_000, dtype=np.uint64)[:, None]
    first = table.slots
    for size in (1, 30, 33, 1_000, 20_000):
        table.add(keys[:size])
        assert len(table) == size
    assert (table.slots is first) == (expected == 20_000)
    assert as_counter(table) == {(k,): int(np.sum(k < np.array([1, 30, 33, 1_000, 20_000]))) for k in range(20_000)}


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 64, 1000])
def test_every_batch_length_is_counted_whole(size):
    table = CountTable(3)
    table.add(np.full((size, 3), 7, np.uint64))
    assert as_counter(table) == ({(7, 7, 7): size} if size else {})


def test_no_key_is_special():
    keys = np.array([[0, 0], [0, 1], [1, 0], [2**64 - 1, 2**64 - 1], [0, 2**63], [2**63, 0], [0, 0]], np.uint64)
    table = CountTable(2)
    table.add(keys)
    assert as_counter(table) == counted(keys)
    assert as_counter(table)[0, 0] == 2


def one_bit_apart(n_words):
    keys = np.zeros((64 * n_words, n_words), np.uint64)
    at = np.arange(64 * n_words)
    keys[at, at // 64] = np.uint64(1) << (at % 64).astype(np.uint64)
    return np.concatenate([keys, ~keys])


def two_bits_apart(n_words):
    single = one_bit_apart(n_words)[: 64 * n_words]
    first, second = np.triu_indices(len(single), 1)
    return single[first] | single[second]


def multiples_of(power):
    return (np.arange(1 << min(14, 64 - power), dtype=np.uint64) << np.uint64(power))[:, None]


ADVERSARIAL = {
    "one bit apart, 1 word": one_bit_apart(1),
    "one bit apart, 2 words": one_bit_apart(2),
    "one bit apart, 16 words": one_bit_apart(16),
    "two bits apart, 2 words": two_bits_apart(2),
    "multiples of 2^20": multiples_of(20),
    "multiples of 2^32": multiples_of(32),
    "multiples of 2^50": multiples_of(50),
    "multiples of 2^56": multiples_of(56),
    "only the first word differs": np.column_stack([np.arange(20_000), np.full((20_000, 2), 5)]).astype(np.uint64),
    "only the last word differs": np.column_stack([np.full((20_000, 2), 5), np.arange(20_000)]).astype(np.uint64),
    "words swapped": np.argwhere(np.ones((120, 120))).astype(np.uint64),
    "equal words": np.repeat(np.arange(20_000, dtype=np.uint64)[:, None], 2, axis=1),
    "opposite words": np.column_stack([x := np.arange(20_000, dtype=np.uint64), ~x]),
    "high bits of both words": np.argwhere(np.ones((120, 120))).astype(np.uint64) << np.uint64(57),
    "multiples of the golden ratio": (np.arange(20_000, dtype=np.uint64) * np.uint64(0xF1DE83E19937733D))[:, None],
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_regular_keys_are_all_told_apart(name):
    keys = np.ascontiguousarray(ADVERSARIAL[name])
    table = CountTable(keys.shape[1])
    table.add(keys)
    table.add(keys[::2].copy())
    assert as_counter(table) == counted(np.concatenate([keys, keys[::2]]))


def test_the_assertion_sees_a_lossy_key(rng):
    # The fault planted: keys cut to a weak 64-bit mix, as a quicker table would, merge a few functions.
    keys = np.ascontiguousarray(ADVERSARIAL["words swapped"])
    mixed = ((keys[:, 0] * np.uint64(3)) ^ keys[:, 1])[:, None]
    table = CountTable(1)
    table.add(mixed)
    assert len(table) < len(counted(keys))


@pytest.mark.parametrize("n_words", [1, 2, 16])
def test_counts_and_squares_add_up_side_by_side(rng, n_words):
    keys = random_keys(rng, 30_000, n_words, 6_000)
    counts, squares = rng.integers(1, 1 << 20, len(keys)), rng.integers(1, 1 << 40, len(keys))
    table = ClusterCountTable(n_words)
    for part in np.array_split(np.arange(len(keys)), 5):
        table.add(keys[part], counts[part], squares[part])
    found, *values = table.items()
    assert len(found) == len(table)
    for value, weights in zip(values, (counts, squares), strict=True):
        assert value.dtype == np.int64
        assert dict(zip(map(tuple, found.tolist()), value.tolist(), strict=True)) == counted(keys, weights)


@pytest.mark.parametrize("size", [0, 1, 40, 5_000])
@pytest.mark.parametrize("at_most", [1, 37, 1 << 17])
def test_pieces_are_the_items(rng, size, at_most):
    table = ClusterCountTable(2)
    keys = random_keys(rng, size, 2, 900)
    table.add(keys, np.arange(1, size + 1), np.arange(2, size + 2))
    pieces = list(table.pieces(at_most))
    assert all(len(piece[0]) == at_most for piece in pieces[:-1])
    for whole, parts in zip(table.items(), zip(*pieces, strict=True) if pieces else [[]] * 3, strict=True):
        np.testing.assert_array_equal(whole, np.concatenate([whole[:0], *parts]))


@pytest.mark.parametrize("at_most", [1, 37, 1 << 17])
@pytest.mark.parametrize("at_least", [2, 300, 901])
def test_pieces_pass_over_small_sums(rng, at_most, at_least):
    table = ClusterCountTable(2)
    counts = rng.permutation(np.arange(1, 901))
    table.add(rng.integers(1 << 63, size=(900, 2), dtype=np.uint64), counts, 3 * counts)
    keys, k, squares = table.items()
    pieces = list(table.pieces(at_most, at_least=at_least))
    assert len(pieces) == -(-(901 - at_least) // at_most)
    for whole, parts in zip((keys, k, squares), zip(*pieces, strict=True) if pieces else [[]] * 3, strict=True):
        np.testing.assert_array_equal(whole[k >= at_least], np.concatenate([whole[:0], *parts]))


def test_a_table_that_foresees_grows_once(rng):
    table, keys = CountTable(2), random_keys(rng, 40_000, 2, 1_000_000)
    table.add(keys[:2_000])
    table.foresee(400, 1_000_000)  # for which there is room
    assert len(table.slots) == 4_096
    table.foresee(4_000, 38_000)
    slots = table.slots
    table.add(keys[2_000:])
    assert table.slots is slots
    assert as_counter(table) == counted(keys)


def repeated_among(marks, keys):
    rows = np.arange(len(keys))
    return rows[: keep_repeated(marks.cells, marks.shift, keys, rows)]


@pytest.mark.parametrize("n_words", [1, 2, 5])
@pytest.mark.parametrize("expected", [0, 3_000, 100_000])
def test_marks_pass_over_no_key_that_came_twice(rng, n_words, expected):
    """Keys come in two parts, some in both, as functions come to two threads."""
    keys = np.unique(rng.integers(0, 1 << 64, (9_000, n_words), dtype=np.uint64), axis=0)
    parts = [np.concatenate([keys[:3_000], keys[:1_000]]), keys[2_000:6_000]]
    whole, halves = Marks(expected), [Marks(expected), Marks(expected)]
    for part, half in zip(parts, halves, strict=True):
        for marks in (whole, half):
            mark_keys(marks.cells, marks.shift, part, np.arange(len(part)))
    halves[0].add(halves[1])
    np.testing.assert_array_equal(whole.cells, halves[0].cells)
    found = set(repeated_among(whole, keys).tolist())
    assert found >= set(range(1_000)) | set(range(2_000, 3_000))
    if expected == 100_000:  # 6,000 keys in 1.6 to 3.2 million cells
        assert len(found) < 2_100


def test_marks_put_together_as_bits_would_miss_a_key():
    # The fault planted: a key once in each part, its cells joined by a plain or.
    key, one, other = np.array([[5, 6]], np.uint64), Marks(10), Marks(10)
    for marks in (one, other):
        mark_keys(marks.cells, marks.shift, key, np.arange(1))
    plain = Marks(10)
    plain.cells = one.cells | other.cells
    assert len(repeated_among(plain, key)) == 0
    one.add(other)
    assert len(repeated_among(one, key)) == 1
