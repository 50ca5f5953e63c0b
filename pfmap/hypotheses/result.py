"""What a test says, and how the tests of a family are corrected together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from pfmap.errors import InvalidInput

Correction: TypeAlias = Literal["holm", "benjamini_hochberg"]


@dataclass(frozen=True)
class HypothesisTest:
    """A null hypothesis, how the data sit with it, and how large the effect is.

    Attributes:
        null: the hypothesis, in words that follow "That".
        statistic: what was compared with its law under the null.
        p_value: probability under the null of a statistic at least so far out.
        effect: the size of what was found, named by `effect_name`.
        effect_interval: (low, high).
        effect_name: what `effect` is, and its unit.
        confidence: of `effect_interval`.
        evidence: what the p-value rests on.
        adjusted_p_value: the p-value corrected for the family of tests; None for a test by itself.
        correction: "holm" or "benjamini_hochberg"; None for a test by itself.
        caveat: why p-value or interval do not hold as they stand, in a sentence; None if they do.
    """

    null: str
    statistic: float
    p_value: float
    effect: float
    effect_interval: tuple[float, float]
    effect_name: str
    confidence: float
    evidence: str
    adjusted_p_value: float | None = None
    correction: Correction | None = None
    caveat: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.p_value <= 1:
            raise InvalidInput(f"p_value is {self.p_value!r}; a probability lies between 0 and 1")
        low, high = self.effect_interval
        if not low <= self.effect <= high:
            raise InvalidInput(f"effect_interval is {low} to {high}; it needs to hold the effect, {self.effect}")

    @property
    def is_rejected(self) -> bool:
        """Whether the p-value, corrected if the test is one of a family, is at most 1 - confidence."""
        p = self.p_value if self.adjusted_p_value is None else self.adjusted_p_value
        return p <= 1 - self.confidence + 1e-12

    def __str__(self) -> str:
        low, high = self.effect_interval
        p = f"p = {self.p_value:.2g}"
        if self.correction is not None:
            p += f", {self.adjusted_p_value:.2g} after {_NAMES[self.correction]}"
        return (
            f"That {self.null} is {'rejected' if self.is_rejected else 'not rejected'} ({p}; {self.evidence}): "
            f"{self.effect_name} is {self.effect:.3g} ({100 * self.confidence:g} % interval {low:.3g} to {high:.3g})."
        )


_NAMES = {"holm": "Holm", "benjamini_hochberg": "Benjamini and Hochberg"}


def correct_family(tests: Sequence[HypothesisTest], *, method: Correction = "holm") -> tuple[HypothesisTest, ...]:
    """The same tests with p-values corrected for there being several.

        Holm:                    max_{j <= i} (M - j + 1) p_(j)     for the i-th smallest of M p-values, at most 1
        Benjamini and Hochberg:  min_{j >= i} M p_(j) / j

    Rejecting where the corrected p-value is at most alpha, Holm rejects any true null with probability at most alpha,
    however the tests depend on each other. With Benjamini and Hochberg the expected fraction of true nulls among those
    rejected is at most alpha, if the tests are independent or positively dependent.

    Args:
        tests: the family, in any order; tests already corrected are corrected anew from their own p-values.
        method: "holm" or "benjamini_hochberg".

    Raises:
        InvalidInput: no tests, or another method.

    Error: exact. Cost: a sort.
    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65; Benjamini and Hochberg 1995, JRSS B 57, 289.

    Example:
        >>> test = HypothesisTest("a die is fair", 2.0, 0.01, 0.3, (0.1, 0.5), "P(six)", 0.95, "60 throws")
        >>> other = HypothesisTest("a coin is fair", 1.0, 0.04, 0.7, (0.4, 0.9), "P(heads)", 0.95, "10 throws")
        >>> [round(t.adjusted_p_value, 4) for t in correct_family([test, other])]
        [0.02, 0.04]
        >>> print(correct_family([test])[0])
        That a die is fair is rejected (p = 0.01, 0.01 after Holm; 60 throws): P(six) is 0.3 (95 % interval 0.1 to 0.5).
    """
    if method not in get_args(Correction):
        raise InvalidInput(f"method is {method!r}; it needs one of {', '.join(get_args(Correction))}")
    if not tests:
        raise InvalidInput("no tests came; a family holds at least one")
    p = np.array([test.p_value for test in tests])
    if method == "holm":
        order = np.argsort(p, kind="stable")
        adjusted = np.empty(len(p))
        adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    else:
        from scipy.stats import false_discovery_control

        adjusted = false_discovery_control(p, method="bh")
    return tuple(
        replace(test, adjusted_p_value=float(value), correction=method)
        for test, value in zip(tests, adjusted, strict=True)
    )


def two_sided_normal(z: float) -> float:
    """P(|Z| >= |z|) of a standard normal Z."""
    return math.erfc(abs(z) / math.sqrt(2))
