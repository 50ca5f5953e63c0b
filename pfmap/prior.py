"""From counts to probabilities with intervals.

Comes in: how often functions came. Goes out: log2 P of each, an interval that says what it covers, and the probability
of everything unseen. The one thing to know: choose functions before looking at the sample that judges them; split it:

    pick, judge = counts.split(seed=1)
    prior = estimate_prior(judge, at=pick.tables)

Samples in clusters are not independent. They count for less by the design effect, the variance of a function's count
over what independent samples would give: N samples are worth N / design effect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.counts import FunctionCounts
from pfmap.errors import InvalidInput
from pfmap.symmetry import Symmetry, canonicalize
from pfmap.tables import TruthTables

PICKED_HERE = (
    "The functions were picked by the counts that judge them, so intervals for functions chosen beforehand do not "
    "hold: frequent functions are overstated. Split the sample, or ask for simultaneous intervals."
)
"""Caveat of an estimate whose functions come from its own counts."""


_ENOUGH = 10.0
"""Effective clusters that a design effect needs; with fewer, clusters are partly taken to be of one function each."""


@dataclass(frozen=True)
class UnseenMass:
    """The probability that one more sample is a function that this sample does not hold, or outside a fixed set.

    Attributes:
        log2_p: Good-Turing estimate log2(f_1 / N); f_1 is the number of functions that came once. Of a fixed set, log2
            of the frequency of all else.
        log2_low: lower end of the interval; -inf where 0 is not excluded.
        log2_high: upper end of the interval.
        confidence: of the two-sided interval.
    """

    log2_p: float
    log2_low: float
    log2_high: float
    confidence: float


@dataclass(frozen=True, eq=False, repr=False)
class PriorEstimate:
    """Probabilities of functions, inferred from counts.

    Attributes:
        tables: the functions.
        log2_p: float64[size], log2 of the frequency k / N, of an orbit divided by its size; -inf for a function that
            did not come, or that a truncated list leaves out.
        log2_low: float64[size], lower ends; -inf where 0 is not excluded.
        log2_high: float64[size], upper ends.
        confidence: of each two-sided interval, or of all together where `simultaneous`.
        simultaneous: whether `confidence` is that of all intervals holding at once.
        counts: int64[size], k, how often each function came, or its orbit.
        n_samples: N.
        unseen: probability of all functions (orbits, if pooled) outside the sample, whatever `tables` lists.
        method: "counts".
        caveat: why the intervals do not hold as they stand, in a sentence; None if they do.
        orbit_sizes: int64[size], |orbit| where `counts` are those of the function's orbit and P = P(orbit) / |orbit|;
            otherwise 1.
        design_effects: float64[size], how many samples in clusters tell as much as one independent sample; 1 for
            independent samples.
    """

    tables: TruthTables
    log2_p: NDArray[np.float64]
    log2_low: NDArray[np.float64]
    log2_high: NDArray[np.float64]
    confidence: float
    simultaneous: bool
    counts: NDArray[np.int64]
    n_samples: int
    unseen: UnseenMass
    method: str = "counts"
    caveat: str | None = None
    orbit_sizes: NDArray[np.int64] = None  # type: ignore[assignment]  # None: 1
    design_effects: NDArray[np.float64] = None  # type: ignore[assignment]  # None: 1

    def __post_init__(self) -> None:
        for name, one in (("orbit_sizes", np.int64(1)), ("design_effects", np.float64(1))):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.broadcast_to(one, len(self.tables)))

    def __len__(self) -> int:
        return len(self.tables)

    def __repr__(self) -> str:
        kind = "simultaneous" if self.simultaneous else "pointwise"
        return (
            f"PriorEstimate({self.tables.domain}, {len(self):,} functions from {self.n_samples:,} samples, "
            f"{kind} {100 * self.confidence:g} % intervals, unseen mass 2^{self.unseen.log2_p:.3g}"
            f"{'' if self.caveat is None else '; see caveat'})"
        )


def estimate_prior(
    counts: FunctionCounts,
    *,
    at: TruthTables | None = None,
    pool: Literal["orbits"] | Collection[Symmetry] | None = None,
    confidence: float = 0.95,
    simultaneous: bool = False,
) -> PriorEstimate:
    """P(f) of functions from how often they came, with intervals.

        P(f) ~ k / N,   k ~ Binomial(N, P(f))

    Functions chosen beforehand (`at`) get Clopper-Pearson intervals: each covers its P(f) with at least `confidence`;
    if `simultaneous`, all cover at once (Bonferroni). Without `at` the functions are those the counts show. Pointwise
    intervals then do not hold, which `caveat` says. Simultaneous ones do: the binomial Chernoff bound united over all
    2^m functions of the domain, N kl(k/N, p) <= ln(2 * 2^m / (1 - confidence)), holds for any choice after looking.

    Pooling. Under a group that leaves the prior as it is, all functions of an orbit are equally probable:
    P(f) = P(orbit of f) / |orbit of f|, with the interval of the orbit.

    Clusters. With the design effect D of a function, k / D of N / D independent samples say as much (Korn, Graubard):

        D = max(1, (squares - k^2 / n) n / (n - 1) / (k (1 - k / N))),   n clusters

    is taken over functions that came about as often, and for those that came less than 8 D times as where they came
    8 D times, as rare functions show too little of their own; frequent ones take their own D where it is larger. D is
    scaled by (t / z)^2, Student's quantile with as many degrees of freedom as effective clusters went into it over the
    normal one. Without `at`, simultaneous intervals take each cluster for one sample: the same Chernoff bound with n in
    place of N, as Hoeffding proved it for means of any variables in [0, 1].

    Args:
        counts: the sample that judges.
        at: functions chosen without looking at `counts`; those of `counts.split()`'s other half, for one.
        pool: "orbits" for the symmetries that the map declares, or symmetries that you know it to have. Counts that
            were drawn as orbits need none.
        confidence: between 0 and 1.
        simultaneous: one confidence for all intervals together.

    Raises:
        IncompatibleTables: `at` lives on another domain.
        InvalidInput: confidence outside (0, 1), `at` is empty or outside the fixed set that was counted, the map
            declares no symmetry, or counts that cannot be pooled (see `FunctionCounts.pooled`).

    Error: exact coverage of at least `confidence` for independent samples, conservative as counts are discrete. For
    clusters asymptotic in their number, and for rare functions as good as their likeness to those that came about as
    often: at 95 %, with 50 to 2,000 clusters of D = 1 to 7, they covered 94 to 100 % of the functions expected 0.03 to
    7,000 times, and 94 to 97 % of those that came 8 at a time where as many others came alone. Constants, which nearly
    every cluster holds, gain least from clusters.
    Cost: 3e6 functions in about 3 s, nearly all of it finding them; 1e6 functions of clusters in 1 s without finding
    them; pooling adds that of `canonicalize`.
    Source: Clopper and Pearson 1934; Hoeffding 1963, theorem 1; Korn and Graubard 1998, Survey Methodology 24, 193.

    Example:
        >>> counts = FunctionCounts.from_unordered(TruthTables.from_strings(["0000", "0110"]), [900, 100])
        >>> prior = estimate_prior(counts, at=TruthTables.from_strings(["0110", "1001"]))
        >>> prior.log2_p, prior.log2_low.round(2), prior.log2_high.round(2)
        (array([-3.32192809,        -inf]), array([-3.61,  -inf]), array([-3.06, -8.09]))
        >>> estimate_prior(counts, at=TruthTables.from_strings(["0110", "1001"]), pool={"complement"}).log2_p
        array([-4.32192809, -4.32192809])
    """
    confidence = check_confidence(confidence)
    picked_here = at is None or at == counts.tables
    counts = counts if pool is None else counts.pooled(_declared(counts) if pool == "orbits" else pool)
    tables = counts.tables if at is None else at
    if not len(tables):
        raise InvalidInput("at holds no function; list at least one")
    orbits = None if counts.orbits is None else canonicalize(tables, group=counts.orbits)
    if at is None:
        k, squares = counts.counts, counts.squares
    else:
        k, squares = counts.columns_at(tables if orbits is None else orbits.representatives)
    n, size = counts.n_samples, counts.cluster_size
    alpha = (1 - confidence) / (2 * (len(tables) if simultaneous else 1))
    design = np.broadcast_to(1.0, len(k)) if size == 1 else _design_effects(counts, k, squares, alpha)
    if picked_here and simultaneous:
        budget = math.log(2 / (1 - confidence)) + tables.domain.n_points * math.log(2)
        low, high = _chernoff(k / size, counts.n_clusters, budget)
    else:
        most = np.maximum(k, counts.at_least - 1)  # what is not listed may have come so often
        if size == 1:
            low, high = lower_limit(k, n, alpha), upper_limit(most, n, alpha)
        else:
            low, high = lower_limit(k / design, n / design, alpha), upper_limit(most / design, n / design, alpha)
    spread = 0.0 if orbits is None else np.log2(orbits.orbit_sizes)
    return PriorEstimate(
        tables=tables,
        log2_p=_log2(k / n) - spread,
        log2_low=low - spread,
        log2_high=high - spread,
        confidence=confidence,
        simultaneous=simultaneous,
        counts=k,
        n_samples=n,
        unseen=estimate_unseen(counts, confidence=confidence),
        caveat=PICKED_HERE if picked_here and not simultaneous and counts.at_least else None,
        orbit_sizes=None if orbits is None else orbits.orbit_sizes,  # type: ignore[arg-type]
        design_effects=design,
    )


def estimate_unseen(counts: FunctionCounts, *, confidence: float = 0.95) -> UnseenMass:
    """The probability of all functions that the sample does not hold, by Good and Turing.

        U ~ f_1 / N,   interval: (f_1 + z^2 / 2 ± z sqrt(f_1 + 2 f_2 + z^2 / 4)) / N

    f_j is the number of functions that came j times. The interval inverts Esty's normal approximation with its variance
    (f_1 + 2 f_2) / N^2 taken at the bound, as Wilson's does for a proportion; it is cut to [0, 1].

    Of clusters of R samples, f_1 and 2 f_2 become samples whose function came in one cluster, and in two, divided by R,
    and N the number of clusters: the interval allows for clusters of one unseen function each, the worst case. A
    truncated list knows these sums. Of a fixed set, U is the frequency of all else, with the interval of Clopper and
    Pearson, in which a cluster counts as one sample.

    Error: asymptotic in f_1 + 2 f_2. At 95 % it covered 93 to 100 % on uniform, Zipf and two-level maps, N = 10 to
    10^4, where f_1 + 2 f_2 was 3 or more on average, and at worst 83 % where it was less. Cost: one pass.
    Source: Good 1953; Esty 1983, Annals of Statistics 11, 905.

    Example:
        >>> counts = FunctionCounts.from_unordered(TruthTables.from_strings(["00", "01", "10"]), [14, 1, 1])
        >>> estimate_unseen(counts).log2_p
        -3.0
    """
    confidence = check_confidence(confidence)
    n, size = counts.n_clusters, counts.cluster_size
    if counts.at_least == 0:
        outside, alpha = np.array([counts.n_unlisted]), (1 - confidence) / 2
        low, high = lower_limit(outside / size, n, alpha), upper_limit(outside / size, n, alpha)
        return UnseenMass(float(_log2(outside / counts.n_samples)[0]), float(low[0]), float(high[0]), confidence)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    totals = counts.totals()
    once, twice = totals.in_one_cluster / size, totals.in_two_clusters / size
    centre, reach = once + z * z / 2, z * math.sqrt(once + twice + z * z / 4)
    log2_p, log2_low, log2_high = _log2(
        np.clip(np.array([once, centre - reach, centre + reach]) / n, 0.0, 1.0)
    ).tolist()
    return UnseenMass(log2_p, log2_low, log2_high, confidence)


def lower_limit(counts: NDArray[Any], n_samples: ArrayLike, alpha: ArrayLike) -> NDArray[np.float64]:
    """log2 of the p that k successes or more in N have probability `alpha` under: one-sided Clopper-Pearson.

        p = B^-1(alpha; k, N - k + 1),   0 for k = 0

    k and N may be effective numbers, no integers.

    Error: 1e-14 relative in p, for any k and for N to 1e11 and beyond. Cost: microseconds a distinct count.
    Source: Clopper and Pearson 1934.

    Example:
        >>> lower_limit(np.array([0, 5]), 10, 0.025)
        array([       -inf, -2.41822627])
    """
    from scipy.special import betaincinv

    def limit(k: NDArray[Any], n: NDArray[np.float64], alpha: NDArray[np.float64]) -> NDArray[np.float64]:
        # k = 0 has the limit 0, which betaincinv(0, …) does not know.
        positive = np.where(k == 0, 1, k)
        return np.where(k == 0, 0.0, betaincinv(positive, n - positive + 1, alpha))

    return _log2(_of_distinct(limit, counts, n_samples, alpha))


def upper_limit(counts: NDArray[Any], n_samples: ArrayLike, alpha: ArrayLike) -> NDArray[np.float64]:
    """log2 of the p that k successes or fewer in N have probability `alpha` under: one-sided Clopper-Pearson.

        p = B^-1(1 - alpha; k + 1, N - k),   1 for k = N

    Error and Cost: those of `lower_limit`.

    Example:
        >>> upper_limit(np.array([0, 5]), 10, 0.025)
        array([-1.69667113, -0.29882541])
    """
    from scipy.special import betainccinv

    def limit(k: NDArray[Any], n: NDArray[np.float64], alpha: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(k >= n, 1.0, betainccinv(k + 1, np.where(k >= n, 1, n - k), alpha))

    return _log2(_of_distinct(limit, counts, n_samples, alpha))


def check_confidence(confidence: float) -> float:
    """The confidence as a float in (0, 1), or InvalidInput."""
    if not isinstance(confidence, int | float | np.floating) or not 0 < confidence < 1:
        raise InvalidInput(f"confidence is {confidence!r}; it lies between 0 and 1, such as 0.95")
    return float(confidence)


def _declared(counts: FunctionCounts) -> Collection[Symmetry]:
    symmetry: Collection[Symmetry] | None = counts.orbits or counts.provenance.get("symmetry")
    if not symmetry:
        raise InvalidInput(
            "the map of these counts declares no symmetry; if you know one, pass it: pool={'input_permutations'}"
        )
    return symmetry


def _design_effects(
    counts: FunctionCounts, k: NDArray[np.int64], squares: NDArray[np.int64], alpha: float
) -> NDArray[np.float64]:
    # Of functions with these counts and squares, as `estimate_prior` describes; from powers of two of all counts.
    from scipy.special import stdtrit

    N, n, size = counts.n_samples, counts.n_clusters, float(counts.cluster_size)
    if n == 1:
        return np.full(len(k), size)
    z = NormalDist().inv_cdf(1 - alpha)

    def parts(k: NDArray[np.int64], squares: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
        # Variance of k over clusters, of independent samples, and the effective number of clusters.
        k = k.astype(np.float64)
        return (squares - k * k / n) * (n / (n - 1)), k * (1 - k / N), k * k / np.maximum(squares, 1)

    def widened(ratio: ArrayLike, clusters: ArrayLike) -> NDArray[np.float64]:
        t = stdtrit(np.maximum(clusters, _ENOUGH) - 1, 1 - alpha)
        return np.asarray(np.maximum(1.0, ratio * (t / z) ** 2))

    octave = np.frexp(np.maximum(counts.counts, 1))[1]
    sums = np.stack([np.bincount(octave, part, 66) for part in parts(counts.counts, counts.squares)])
    pooled = np.empty(66)
    for j in range(66):
        near = 1  # octaves on each side, until they hold enough
        while True:
            variance, plain, clusters = sums[:, max(0, j - near) : j + near + 1].sum(axis=1)
            if clusters >= 3 * _ENOUGH or near > 66:
                break
            near += 1
        known = min(clusters / _ENOUGH, 1.0)
        pooled[j] = widened((known * variance / plain if plain else 0.0) + (1 - known) * size, clusters)
    telling = np.flatnonzero((2.0 ** np.arange(66) >= 16 * pooled) & (np.arange(66) <= octave.max()))
    first = int(telling[0]) if len(telling) else int(octave.max())
    design = pooled[np.maximum(np.frexp(np.maximum(k, 1))[1], first)]
    frequent = k >= 2.0 ** (first - 1)
    variance, plain, clusters = (part[frequent] for part in parts(k, squares))
    own = np.divide(variance, plain, out=np.ones_like(plain), where=plain > 0)
    design[frequent] = np.maximum(design[frequent], widened(own, clusters))
    return design


def _of_distinct(
    limit: Callable[[NDArray[Any], NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    counts: NDArray[Any],
    n_samples: ArrayLike,
    alpha: ArrayLike,
) -> NDArray[np.float64]:
    # Most functions share a handful of counts, and the inverse beta function is dear.
    levels, n = np.asarray(alpha, np.float64), np.asarray(n_samples, np.float64)
    if levels.ndim:
        return limit(counts, n, levels)
    if n.ndim:
        pairs, where = np.unique(counts + 1j * n, return_inverse=True)
        return limit(pairs.real, pairs.imag, levels)[where]
    distinct, where = np.unique(counts, return_inverse=True)
    return limit(distinct, n, levels)[where]


def _chernoff(counts: NDArray[Any], n_samples: int, budget: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # log2 of both ends of {p : N kl(k / N, p) <= budget}: closed forms for k = 0 and N, between them bisection in ln p.
    distinct, where = np.unique(counts, return_inverse=True)
    low, high = np.full(len(distinct), -np.inf), np.zeros(len(distinct))
    high[distinct == 0] = math.log(-math.expm1(-budget / n_samples))
    low[distinct == n_samples] = -budget / n_samples
    between = (distinct > 0) & (distinct < n_samples)
    k = distinct[between].astype(np.float64)
    log_q, log_not_q = np.log(k / n_samples), np.log1p(-k / n_samples)

    def beyond(log_p: NDArray[np.float64]) -> NDArray[np.bool_]:
        with np.errstate(divide="ignore"):
            log_not_p = np.log1p(-np.exp(log_p))
        return np.asarray(k * (log_q - log_p) + (n_samples - k) * (log_not_q - log_not_p) > budget)

    # Both starts lie outside: (N - k) ln(1 - k/N) >= -k, and p = 1 is infinitely far from k < N.
    for ends, outside in ((low, log_q - budget / k - 1), (high, np.zeros_like(k))):
        inside = log_q
        for _ in range(80):
            middle = (inside + outside) / 2
            out = beyond(middle)
            inside, outside = np.where(out, inside, middle), np.where(out, middle, outside)
        ends[between] = outside
    return low[where] / math.log(2), high[where] / math.log(2)


def _log2(p: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log2(p))
