"""C_LZ against slow textbook versions, published values, and its claimed maximum."""

import itertools
import math

import numpy as np
import pytest

from pfmap import Cube, InvalidInput, Points, TruthTables, complexity
from pfmap.kernels.lempel_ziv import count_words
from pfmap.streams import generator


def words_by_definition(s):
    count, start = 0, 0
    while start < len(s):
        length, found = 1, 0
        while start + length <= len(s):
            # A longer word occurs first where the shorter one did, or later.
            found = s.find(s[start : start + length], found, start + length - 1)
            if found < 0:
                break
            length += 1
        count, start = count + 1, start + length
    return count


def kaspar_schuster(s, n, stops):
    """The scan as printed in 1987; stops(l + k) ends it inside a match."""
    i, k, l, words, k_max = 0, 1, 1, 1, 1  # noqa: E741
    while True:
        if s[i + k - 1] == s[l + k - 1]:
            k += 1
            if stops(l + k):
                return words + 1
        else:
            k_max, i = max(k, k_max), i + 1
            if i < l:
                k = 1
            else:
                words, l = words + 1, l + k_max  # noqa: E741
                if l + 1 > n:
                    return words
                i, k, k_max = 0, 1, 1


def textbook(s):
    return kaspar_schuster(s, len(s), lambda end: end > len(s))


def stops_early(s):
    n = len(s) - 1
    return kaspar_schuster(s, n, lambda end: end >= n - 1)


def slow_measure(scan, strings):
    return [np.log2(len(s)) * (1.0 if len(set(s)) == 1 else (scan(s) + scan(s[::-1])) / 2) for s in strings]


def structured(n, rng):
    """Runs, periods, sparse strings, low-entropy strings and cube functions, where matches are long."""
    size = 1 << n
    x = Cube(n).points().astype(int)
    rows = [np.arange(size) // run % 2 for run in {1, 2, 3, size // 4 or 1, size // 2}]
    rows += [np.arange(size) == at for at in {0, 1, size // 2, size - 2, size - 1}]
    rows += [x.sum(1) % 2, x.sum(1) > n // 2, x[:, 0], x[:, -1], x[:, 0] & x[:, -1]]
    rows += [rng.random(size) < p for p in (0.01, 0.1, 0.5, 0.5, 0.9)]
    rows += [np.tile(rng.integers(0, 2, 5), size)[:size]]
    return TruthTables.from_bits(np.array(rows, bool))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_function_of_few_inputs_matches_both_textbook_forms(n):
    tables = TruthTables.from_ints(range(1 << (1 << n)), n)
    strings = tables.strings()
    assert [textbook(s) for s in strings] == [words_by_definition(s) for s in strings]
    np.testing.assert_array_equal(complexity.lempel_ziv(tables), slow_measure(textbook, strings))
    np.testing.assert_array_equal(complexity.lempel_ziv_truncated(tables), slow_measure(stops_early, strings))


@pytest.mark.parametrize("n", range(4, 11))
def test_random_and_structured_functions_match_the_textbook(n):
    rng = generator(0, f"lempel-ziv-{n}")
    noise = TruthTables.from_bits(rng.random((40 if n < 8 else 4, 1 << n)) < 0.5)
    for tables in (noise, structured(n, rng)):
        strings = tables.strings()
        np.testing.assert_array_equal(complexity.lempel_ziv(tables), slow_measure(textbook, strings))
        np.testing.assert_array_equal(complexity.lempel_ziv_truncated(tables), slow_measure(stops_early, strings))


def test_sixteen_inputs_match_words_found_by_substring_search():
    tables = structured(16, generator(0, "lempel-ziv-16"))[[10, 11, 15, 16, 17]]
    expected = slow_measure(words_by_definition, tables.strings())
    np.testing.assert_array_equal(complexity.lempel_ziv(tables), expected)


@pytest.mark.parametrize("n_symbols", [1, 3, 63, 64, 65, 100, 127, 129, 200])
def test_strings_of_any_length_over_the_edges_of_machine_words(n_symbols):
    bits = generator(0, "lempel-ziv-edges").random((30, n_symbols)) < 0.3
    tables = TruthTables.from_bits(bits, Points(n_symbols))
    np.testing.assert_array_equal(complexity.lempel_ziv(tables), slow_measure(words_by_definition, tables.strings()))


def test_published_values_at_seven_inputs():
    strings = {
        "0" * 128: 7,
        "1" * 128: 7,
        "01" * 64: 21,
        "0" * 64 + "1" * 64: 21,
        "1" + "0" * 127: 17.5,
        "0" * 127 + "1": 17.5,
    }
    np.testing.assert_array_equal(complexity.lempel_ziv(TruthTables.from_strings(strings)), list(strings.values()))
    parity, majority = (lambda x: x.sum() % 2), (lambda x: x.sum() > 3)
    dictators = [lambda x, i=i: x[i] for i in range(7)]
    values = complexity.lempel_ziv(TruthTables.from_callables([parity, majority, *dictators], 7))
    np.testing.assert_array_equal(values, [91, 70, 21, 28, 28, 28, 28, 28, 21])


def test_depends_on_the_order_of_the_inputs():
    gate = TruthTables.from_callables(lambda x: x[0] & x[1], 7)
    moved = gate.permute_inputs([1, 5, 0, 2, 3, 4, 6])
    assert complexity.lempel_ziv(gate) != complexity.lempel_ziv(moved)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_mean_over_all_orders_of_few_inputs(n):
    tables = structured(n, generator(0, f"lempel-ziv-orders-{n}"))
    orders = list(itertools.permutations(range(n)))
    expected = np.mean([slow_measure(textbook, tables.permute_inputs(o).strings()) for o in orders], axis=0)
    np.testing.assert_allclose(complexity.lempel_ziv_over_orders(tables), expected, rtol=1e-14)
    every_order = [complexity.lempel_ziv_over_orders(tables.permute_inputs(o)) for o in orders]
    np.testing.assert_allclose(every_order, np.broadcast_to(expected, (len(orders), len(tables))), rtol=1e-14)


def test_mean_over_some_orders_is_near_that_over_all():
    """At n = 5 all 120 orders are near: 24 of them without replacement, 5 standard errors."""
    tables = TruthTables.from_bits(generator(0, "lempel-ziv-orders").random((40, 32)) < 0.5)
    all_orders = np.array([complexity.lempel_ziv(tables.permute_inputs(o)) for o in itertools.permutations(range(5))])
    error = all_orders.std(axis=0, ddof=1) * np.sqrt((1 - 24 / 120) / 24)
    gap = np.abs(complexity.lempel_ziv_over_orders(tables) - all_orders.mean(axis=0))
    assert np.all(gap <= 5 * error)
    first_order = np.abs(complexity.lempel_ziv(tables) - all_orders.mean(axis=0))
    assert np.any(first_order > 5 * error)


@pytest.mark.parametrize("n", range(1, 11))
def test_input_orders_are_different_and_fixed(n):
    from pfmap.complexity.lempel_ziv import _input_orders

    orders = [tuple(order) for order in _input_orders(n)]
    assert len(set(orders)) == len(orders) == (math.factorial(n) if n <= 4 else 24)
    assert all(sorted(order) == list(range(n)) for order in orders)
    assert orders == [tuple(order) for order in _input_orders(n)]


def test_mean_of_random_strings_and_a_dropped_symbol(rng):
    """Law: C_LZ of 4e5 fair 128-bit strings, sd 6.2, so the mean's sd is 0.01; published 148.8, rounded to 0.05.

    The band is that rounding plus 5 sd (6e-7 two-sided); dropping one symbol lowers the mean by about 1.
    """
    n_strings = 400_000
    tables = TruthTables.from_words(rng.integers(0, 1 << 64, (n_strings, 2), np.uint64), Cube(7))
    values = complexity.lempel_ziv(tables)
    band = 0.05 + 5 * values.std() / np.sqrt(n_strings)
    assert abs(values.mean() - 148.8) < band
    one_symbol_short = 3.5 * count_words(tables.words(), 128, 127).sum(axis=1)
    assert abs(one_symbol_short.mean() - 148.8) > band
    assert abs(complexity.lempel_ziv_truncated(tables).mean() - 148.8) > band


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_maximum_is_exact_where_all_functions_can_be_counted(n):
    every = complexity.lempel_ziv(TruthTables.from_ints(range(1 << (1 << n)), n))
    assert complexity.max_lempel_ziv(n) == (every.max(), every.max())


def test_word_bound_holds_for_every_string_of_four_inputs_and_is_nearly_reached():
    from pfmap.complexity.lempel_ziv import _most_words

    every = count_words(np.arange(1 << 16, dtype=np.uint64)[:, None], 16, 16)
    assert every.max() == _most_words(16) == 8
    shorter = [count_words(np.arange(1 << m, dtype=np.uint64)[:, None], m, m).max() for m in range(1, 16)]
    assert all(most <= _most_words(m) for m, most in enumerate(shorter, 1))


@pytest.mark.parametrize("n", range(5, 17))
def test_maximum_is_bracketed(n):
    attained, not_exceeded = complexity.max_lempel_ziv(n)
    sample = TruthTables.from_bits(generator(0, "lempel-ziv-max").random((4, 1 << n)) < 0.5)
    assert complexity.lempel_ziv(sample).max() * 0.95 < attained < not_exceeded < 1.5 * attained


@pytest.mark.parametrize("n", [0, 17, 2.0, "7"])
def test_maximum_refuses_other_numbers_of_inputs(n):
    with pytest.raises(InvalidInput, match="1 to 16"):
        complexity.max_lempel_ziv(n)
