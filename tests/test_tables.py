"""Truth tables against the definition written out: entry j is f(x), where j in binary (x_0 first) is x."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfmap import Cube, IncompatibleTables, InvalidInput, Points, TruthTables
from pfmap.streams import generator
from pfmap.tables import concatenate


def textbook_string(function, n):
    return "".join(str(int(function(*x))) for x in product((0, 1), repeat=n))


def textbook_int(string):
    return sum(1 << j for j, character in enumerate(string) if character == "1")


def random_tables(domain, size=5):
    rng = generator(0, f"tables-{domain}")
    return TruthTables.from_bits(rng.random((size, domain.n_points)) < rng.random((size, 1)), domain)


DOMAINS = [*(Cube(n) for n in range(1, 17)), *(Points(m) for m in (1, 7, 8, 9, 63, 64, 65, 100, 128, 1000))]


@st.composite
def some_tables(draw, smallest=1, largest=6):
    n = draw(st.integers(smallest, largest))
    ints = draw(st.lists(st.integers(0, (1 << (1 << n)) - 1), min_size=1, max_size=5))
    return TruthTables.from_ints(ints, n)


# Bit order


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9])
def test_the_points_of_a_cube_come_in_table_order(n):
    np.testing.assert_array_equal(Cube(n).points(), list(product((0, 1), repeat=n)))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 10])
def test_the_first_input_is_the_most_significant_bit(n):
    dictators = TruthTables.from_callables([lambda x, i=i: x[i] for i in range(n)], n)
    assert dictators.strings() == [textbook_string(lambda *x, i=i: x[i], n) for i in range(n)]
    assert dictators.strings()[0] == "0" * (1 << (n - 1)) + "1" * (1 << (n - 1))
    assert dictators.strings()[-1] == "01" * (1 << (n - 1))


def test_a_table_of_an_asymmetric_function_is_the_textbook_one():
    def carry(x, y, z):
        return (x and not y) or (y and z)

    tables = TruthTables.from_callables(lambda x: carry(*x), 3)
    expected = textbook_string(carry, 3)
    assert tables.strings() == [expected] == ["00011101"]
    assert tables.ints() == [textbook_int(expected)]
    np.testing.assert_array_equal(tables.bits(), [[int(c) for c in expected]])
    np.testing.assert_array_equal(tables.packed, [[textbook_int(expected)]])
    np.testing.assert_array_equal(tables.words(), [[textbook_int(expected)]])


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_packing_follows_the_definition_byte_by_byte(domain):
    tables = random_tables(domain)
    m = domain.n_points
    bits = tables.bits()
    assert bits.shape == (5, m)
    for row in range(5):
        for j in range(0, m, max(1, m // 97)):
            assert tables.packed[row, j // 8] >> (j % 8) & 1 == bits[row, j]
            assert int(tables.words()[row, j // 64]) >> (j % 64) & 1 == bits[row, j]
            assert tables.ints()[row] >> j & 1 == bits[row, j]
            assert tables.strings()[row][j] == str(bits[row, j])
    assert all(value < 1 << m for value in tables.ints())


# Round trips


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_every_form_reads_back_as_the_same_tables(domain):
    tables = random_tables(domain)
    assert TruthTables.from_strings(tables.strings(), domain) == tables
    assert TruthTables.from_bits(tables.bits(), domain) == tables
    assert TruthTables.from_bits(tables.bits().astype(bool), domain) == tables
    assert TruthTables.from_bits(tables.bits().astype(float), domain) == tables
    assert TruthTables.from_words(tables.words(), domain) == tables
    assert TruthTables(domain, tables.packed) == tables
    if isinstance(domain, Cube):
        assert TruthTables.from_ints(tables.ints(), domain.n_inputs) == tables
        assert TruthTables.from_strings(tables.strings()) == tables
        assert TruthTables.from_bits(tables.bits()) == tables


@pytest.mark.parametrize("n", range(1, 17))
def test_callables_read_back_as_the_same_tables(n):
    tables = random_tables(Cube(n), 2 if n < 12 else 1)
    functions = tables.callables()
    if n <= 10:
        assert TruthTables.from_callables(functions, n) == tables
    points = generator(0, f"points-{n}").integers(0, 2, (50, n))
    for function, string in zip(functions, tables.strings(), strict=True):
        assert [function(x) for x in points] == [int(string[int("".join(map(str, x)), 2)]) for x in points]


def test_one_string_int_or_callable_is_a_list_of_one():
    one = TruthTables.from_strings(["0110"])
    assert TruthTables.from_strings("0110") == one
    assert TruthTables.from_ints(6, 2) == one
    assert TruthTables.from_callables(lambda x: x[0] ^ x[1], 2) == one


def test_an_empty_list_has_a_domain_too():
    empty = TruthTables.from_strings([], Cube(7))
    assert (len(empty), empty.strings(), empty.ints(), empty.bits().shape) == (0, [], [], (0, 128))
    assert empty == TruthTables.from_ints([], 7) == TruthTables.from_words(np.empty((0, 2), np.uint64), Cube(7))
    assert empty.complement() == empty.permute_inputs(range(7)) == empty
    assert len(empty.hamming_weight()) == 0


def test_all_functions_of_few_inputs_are_distinct_keys():
    for n in (1, 2, 3, 4):
        tables = TruthTables.from_ints(range(1 << (1 << n)), n)
        assert len(np.unique(tables.packed, axis=0)) == len(tables) == 1 << (1 << n)
        assert tables.ints() == list(range(1 << (1 << n)))


# Choosing, comparing, showing


def test_rows_are_chosen_as_in_numpy():
    tables = TruthTables.from_ints(range(16), 2)
    assert tables[3].ints() == tables[np.int64(3)].ints() == [3]
    assert tables[-1].ints() == [15]
    assert tables[2:5].ints() == [2, 3, 4]
    assert tables[[5, 1, 5]].ints() == [5, 1, 5]
    assert tables[tables.hamming_weight() == 1].ints() == [1, 2, 4, 8]
    with pytest.raises(IndexError):
        tables[16]


def test_equality_needs_rows_order_and_domain():
    tables = TruthTables.from_ints([1, 2], 2)
    assert tables == TruthTables.from_ints([1, 2], 2)
    assert tables != TruthTables.from_ints([2, 1], 2)
    assert tables != TruthTables.from_ints([1], 2)
    assert tables != TruthTables.from_bits(tables.bits(), Points(4))
    assert tables != [1, 2]
    with pytest.raises(TypeError):
        hash(tables)


def test_packed_rows_cannot_be_written():
    tables = TruthTables.from_ints([6], 2)
    with pytest.raises(ValueError, match="read-only"):
        tables.packed[0, 0] = 1


def test_the_repr_is_short():
    assert repr(TruthTables.from_ints([6, 8], 2)) == "TruthTables(Cube(n_inputs=2), size=2, ['0110', '0001'])"
    assert len(repr(random_tables(Cube(16), 50))) < 200


def test_concatenate_keeps_order():
    one, two = TruthTables.from_ints([1, 2], 2), TruthTables.from_ints([3], 2)
    assert concatenate([one, two, one]).ints() == [1, 2, 3, 1, 2]
    with pytest.raises(InvalidInput, match="at least one"):
        concatenate([])
    with pytest.raises(IncompatibleTables, match=r"Cube\(n_inputs=2\).*Cube\(n_inputs=3\)"):
        concatenate([one, TruthTables.from_ints([3], 3)])


# Moving


@given(some_tables())
def test_hamming_weight_counts_ones(tables):
    assert tables.hamming_weight().tolist() == [string.count("1") for string in tables.strings()]
    assert tables.hamming_weight().dtype == np.int64


@given(some_tables())
def test_complement_negates_and_undoes_itself(tables):
    negated = tables.complement()
    assert negated.strings() == [s.translate(str.maketrans("01", "10")) for s in tables.strings()]
    assert negated.complement() == tables
    assert np.all(negated.hamming_weight() + tables.hamming_weight() == tables.domain.n_points)


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_complement_leaves_unused_bits_zero(domain):
    negated = random_tables(domain).complement()
    assert TruthTables.from_strings(negated.strings(), domain) == negated


@given(some_tables(), st.data())
def test_permute_inputs_follows_its_definition(tables, data):
    n = tables.n_inputs
    order = data.draw(st.permutations(range(n)))
    for moved, function in zip(tables.permute_inputs(order).strings(), tables.callables(), strict=True):
        assert moved == textbook_string(lambda *x, f=function: f([x[order[i]] for i in range(n)]), n)


@given(some_tables(), st.data())
def test_permutations_act_as_a_group(tables, data):
    n = tables.n_inputs
    first, second = data.draw(st.permutations(range(n))), data.draw(st.permutations(range(n)))
    # g(x) = f(x[first]), h(x) = g(x[second]) = f(x[second][first]) = f(x[second[first[i]]]).
    both = [second[i] for i in first]
    assert tables.permute_inputs(first).permute_inputs(second) == tables.permute_inputs(both)
    assert tables.permute_inputs(range(n)) == tables
    inverse = [int(i) for i in np.argsort(first)]
    assert tables.permute_inputs(first).permute_inputs(inverse) == tables
    assert tables.complement().permute_inputs(first) == tables.permute_inputs(first).complement()


@given(some_tables(), st.data())
def test_flip_inputs_follows_its_definition_and_undoes_itself(tables, data):
    n = tables.n_inputs
    which = data.draw(st.sets(st.integers(0, n - 1)))
    flipped = tables.flip_inputs(which)
    for moved, function in zip(flipped.strings(), tables.callables(), strict=True):
        assert moved == textbook_string(lambda *x, f=function: f([x[i] ^ (i in which) for i in range(n)]), n)
    assert flipped.flip_inputs(which) == tables
    other = data.draw(st.sets(st.integers(0, n - 1)))
    assert flipped.flip_inputs(other) == tables.flip_inputs(which ^ other)


@given(some_tables(), st.data())
def test_permuting_carries_flips_along(tables, data):
    order = data.draw(st.permutations(range(tables.n_inputs)))
    i = data.draw(st.integers(0, tables.n_inputs - 1))
    assert tables.flip_inputs([i]).permute_inputs(order) == tables.permute_inputs(order).flip_inputs([order[i]])


def test_the_largest_cube_moves_too():
    tables = random_tables(Cube(16), 2)
    order = [*range(1, 16), 0]
    moved = tables.permute_inputs(order).flip_inputs([3])
    x = generator(0, "largest").integers(0, 2, (200, 16))
    flipped = x.copy()
    flipped[:, 3] ^= 1
    for old, new in zip(tables.callables(), moved.callables(), strict=True):
        assert [new(point) for point in x] == [old(point[order]) for point in flipped]


# Looking up


@settings(deadline=None)
@given(st.sampled_from([1, 3, 4, 5, 6, 7, 8]), st.data())
def test_positions_are_those_of_a_list(n, data):
    few = st.integers(0, 3).map(lambda k: k * ((1 << (1 << n)) // 4 + 1) % (1 << (1 << n)))
    haystack = TruthTables.from_ints(data.draw(st.lists(few, max_size=8)), n)
    needles = TruthTables.from_ints(data.draw(st.lists(few, max_size=8)), n)
    listed = haystack.ints()
    expected = [listed.index(i) if i in listed else -1 for i in needles.ints()]
    assert needles.positions_in(haystack).tolist() == expected
    assert needles.positions_in(haystack).dtype == np.int64


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_positions_on_every_domain(domain):
    tables = random_tables(domain, 40)
    listed = tables.strings()
    assert tables.positions_in(tables).tolist() == [listed.index(s) for s in listed]


def test_tables_that_differ_in_one_byte_are_told_apart():
    rows = np.zeros((129, 16), np.uint8)
    rows[np.arange(128), np.arange(128) // 8] = 1 << (np.arange(128) % 8)
    tables = TruthTables(Cube(7), rows)
    np.testing.assert_array_equal(tables.positions_in(tables[::-1]), np.arange(129)[::-1])


# Bad input


@pytest.mark.parametrize("n", [0, -1, 17, 40, True, 2.0, "3", None, np.float64(4)])
def test_a_cube_needs_1_to_16_inputs(n):
    with pytest.raises(InvalidInput, match=r"1 to 16 inputs.*Points\(m\)"):
        Cube(n)


def test_a_cube_takes_numpy_ints():
    assert Cube(np.int32(3)) == Cube(3)
    assert repr(Cube(np.int32(3))) == "Cube(n_inputs=3)"


@pytest.mark.parametrize("m", [0, -3, True, 1.5, "a", None])
def test_points_need_a_number(m):
    with pytest.raises(InvalidInput, match="at least one point"):
        Points(m)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TruthTables.from_strings(["01", "0110"]), r"different lengths.*\[2, 4\]"),
        (lambda: TruthTables.from_strings(["01x0"]), r"'01x0'.*only '0' and '1'"),
        (lambda: TruthTables.from_strings(["011"]), r"3 entries is no cube.*Points\(3\)"),
        (lambda: TruthTables.from_strings(["0"]), r"1 entries is no cube"),
        (lambda: TruthTables.from_strings([""]), "no cube"),
        (lambda: TruthTables.from_strings([]), r"domain=Cube\(n\)"),
        (lambda: TruthTables.from_strings(["0110"], Cube(3)), "4 columns.*8 points"),
        (lambda: TruthTables.from_strings(["٠١"]), "only '0' and '1'"),
        (lambda: TruthTables.from_bits([0, 1]), r"shape \[2\].*\[size, m\]"),
        (lambda: TruthTables.from_bits([[0, 2]]), "other than 0 and 1"),
        (lambda: TruthTables.from_bits([[0.5, 1]]), "other than 0 and 1"),
        (lambda: TruthTables.from_bits([[float("nan"), 1]]), "other than 0 and 1"),
        (lambda: TruthTables.from_bits(np.zeros((2, 1 << 17))), r"n_inputs is 17"),
        (lambda: TruthTables.from_ints([16], 2), r"16 is no function of 2 inputs.*0 to 2\^4 - 1"),
        (lambda: TruthTables.from_ints([-1], 2), "-1 is no function"),
        (lambda: TruthTables.from_ints([0], 0), "n_inputs is 0"),
        (lambda: TruthTables.from_ints([0], 17), "n_inputs is 17"),
        (lambda: TruthTables.from_callables(lambda x: 2, 1), "other than 0 and 1"),
        (lambda: TruthTables(Cube(3), np.zeros((1, 2), np.uint8)), r"uint8\[1, 2\].*uint8\[size, 1\]"),
        (lambda: TruthTables(Cube(3), np.zeros((1, 1), np.int64)), r"int64\[1, 1\].*uint8\[size, 1\]"),
        (lambda: TruthTables(Cube(3), np.zeros(1, np.uint8)), r"uint8\[size, 1\]"),
        (lambda: TruthTables(Cube(2), np.array([[16]], np.uint8)), "beyond the 4 points"),
        (lambda: TruthTables.from_ints([6], 2).permute_inputs([0]), r"order is \[0\].*0 … 1 once"),
        (lambda: TruthTables.from_ints([6], 2).permute_inputs([0, 0]), "once"),
        (lambda: TruthTables.from_ints([6], 2).permute_inputs([1, 2]), "once"),
        (lambda: TruthTables.from_ints([6], 2).flip_inputs([2]), r"which is \[2\].*0 … 1"),
        (lambda: TruthTables.from_ints([6], 2).flip_inputs([-1]), "which is"),
        (lambda: TruthTables.from_ints([6], 2).callables()[0]([0]), "2 entries, each 0 or 1"),
        (lambda: TruthTables.from_ints([6], 2).callables()[0]([0, 2]), "2 entries, each 0 or 1"),
    ],
)
def test_bad_tables_say_what_is_allowed(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()


@pytest.mark.parametrize(
    "use",
    [
        lambda tables: tables.n_inputs,
        lambda tables: tables.callables(),
        lambda tables: tables.permute_inputs([0, 1]),
        lambda tables: tables.flip_inputs([0]),
    ],
)
def test_points_have_no_inputs(use):
    with pytest.raises(IncompatibleTables, match=r"Points\(n_points=4\).*Cube\(n\)"):
        use(TruthTables.from_strings(["0110"], Points(4)))


def test_lists_on_different_domains_do_not_meet():
    with pytest.raises(IncompatibleTables, match="one domain"):
        TruthTables.from_ints([1], 2).positions_in(TruthTables.from_ints([1], 3))


@pytest.mark.parametrize(
    ("words", "domain"),
    [
        (np.zeros((2, 1), np.uint64), Cube(7)),
        (np.zeros((2, 3), np.uint64), Cube(7)),
        (np.zeros(2, np.uint64), Cube(6)),
        (np.array([[1 << 8]], np.uint64), Cube(3)),
        (np.array([[1 << 5]], np.uint64), Points(5)),
        (np.array([[0.5]]), Cube(6)),
        (np.array([[-1]]), Cube(6)),
    ],
    ids=["too few words", "too many words", "one row", "a bit beyond 8", "a bit beyond 5", "floats", "signed"],
)
def test_words_that_are_no_tables_are_refused(words, domain):
    with pytest.raises(InvalidInput):
        TruthTables.from_words(words, domain)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TruthTables.from_ints([6.5], 2),
        lambda: TruthTables.from_ints(["6"], 2),
        lambda: TruthTables.from_strings([6]),
        lambda: TruthTables.from_callables(lambda x: x, 2),
        lambda: TruthTables(4, np.zeros((1, 2), np.uint8)),
    ],
    ids=["fraction", "text for an int", "int for a string", "vector-valued callable", "int for a domain"],
)
def test_values_of_the_wrong_kind_are_refused(make):
    with pytest.raises(InvalidInput):
        make()
