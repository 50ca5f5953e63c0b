"""Tests of the named functions: against their definitions in plain Python, input by input."""

from itertools import product

import pytest

from pfmap import InvalidInput, TruthTables, families


def by_hand(n, f):
    return TruthTables.from_strings(["".join(str(int(f(x))) for x in product((0, 1), repeat=n))])


def binary(digits):
    return int("".join(map(str, digits)) or "0", 2)


@pytest.mark.parametrize("n", range(1, 7))
def test_definitions(n):
    for k in range(1, n + 1):
        assert families.parity(n, k) == by_hand(n, lambda x, k=k: sum(x[:k]) % 2)
        assert families.majority(n, k) == by_hand(n, lambda x, k=k: sum(x[:k]) > k / 2)
        for t in range(k + 1):
            assert families.threshold(n, t, k) == by_hand(n, lambda x, k=k, t=t: sum(x[:k]) >= t)
            assert families.exactly(n, t, k) == by_hand(n, lambda x, k=k, t=t: sum(x[:k]) == t)
    for a in (a for a in range(3) if a + 2**a <= n):
        assert families.multiplexer(n, a) == by_hand(n, lambda x, a=a: x[a + binary(x[:a])])
    bits = len(bin(n)) - 3
    assert families.addressing(n) == by_hand(n, lambda x: x[binary(x[:bits])])
    assert families.hidden_weighted_bit(n) == by_hand(n, lambda x: sum(x) and x[sum(x) - 1])


@pytest.mark.parametrize("n", range(1, 8))
def test_the_panel_lists_every_function_once_and_whole_families(n):
    panel = families.panel(n)
    assert len({table.strings()[0] for table in panel.values()}) == len(panel)
    assert all(table.n_inputs == n and len(table) == 1 for table in panel.values())
    every = [families.parity(n, k) for k in range(1, n + 1)]
    every += [f(n, t) for f in (families.threshold, families.exactly) for t in range(1, n)]
    every += [families.threshold(n, t, k) for k in range(1, n + 1) for t in (1, k)]
    every += [families.majority(n, k) for k in range(1, n + 1, 2)] + [families.addressing(n)]
    listed = {table.strings()[0] for table in panel.values()}
    assert {table.strings()[0] for table in every} <= listed


@pytest.mark.parametrize(
    "call",
    [
        lambda: families.parity(4, 0),
        lambda: families.parity(4, 5),
        lambda: families.threshold(4, 5),
        lambda: families.exactly(4, -1),
        lambda: families.exactly(4, 3, 2),
        lambda: families.majority(4, True),
        lambda: families.multiplexer(5, 2),
        lambda: families.multiplexer(3, 1.0),
        lambda: families.addressing(0),
        lambda: families.panel(17),
        lambda: families.panel("4"),
    ],
)
def test_what_is_no_function_is_refused(call):
    with pytest.raises(InvalidInput, match=r"it needs|pfmap tabulates|that takes"):
        call()
