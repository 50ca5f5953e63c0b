"""P(f) of a Gaussian process: an orthant probability, by minimax exponential tilting.

    P(f) = P(X > 0),   X ~ N(0, C),   C_ij = t_i t_j K_ij / sqrt(K_ii K_jj),   t = 1 where f is 1 and -1 where it is 0

With C = D L L^T D, L of unit diagonal, x_k = mu_k + (a standard normal above a_k - mu_k) is drawn coordinate by
coordinate, a_k = -sum_{j < k} L_kj x_j, and weighs

    exp psi(x, mu) = prod_k Phi(mu_k - a_k) exp(mu_k^2 / 2 - mu_k x_k),

of mean P for every mu. At the saddle point of psi the weights are bounded by exp psi, so that P <= exp psi is certain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pfmap.errors import IncompatibleTables, InvalidInput
from pfmap.maps import GaussianProcess, GaussianVector
from pfmap.prior import check_confidence
from pfmap.rare.estimate import at_least, check_where
from pfmap.rare.found import log_mean
from pfmap.rare.result import LOG2_E
from pfmap.streams import check_seed, generator
from pfmap.tables import TruthTables, require_tables

GaussianMap: TypeAlias = GaussianProcess | GaussianVector

_SINGULAR, _GAP, _ROUNDING = 1e-8, 1e-6, 1e-15
_UNSTEADY = 0.1
_MOST_STEPS, _MOST_SWEEPS = 100, 500
_BITS = 30


@dataclass(frozen=True, eq=False, repr=False)
class OrthantEstimate:
    """Probabilities of functions, or of partial tables, under a Gaussian process.

    Attributes:
        tables: the functions; only their values at `where` count.
        where: bool[size, m], the points that constrain; None for all.
        log2_p: float64[size], log2 of the mean over randomisations, which has mean P exactly; -inf where P is 0.
        log2_low: float64[size], lower ends; where not converged, log2_floor.
        log2_high: float64[size], upper ends, at most log2_ceiling, and where not converged that.
        confidence: of each two-sided interval.
        log2_floor: float64[size], lower bounds by Markov's inequality, which need no law of the randomisations; each
            holds with probability (1 + confidence) / 2.
        log2_ceiling: float64[size], upper bounds without randomness, psi at its saddle point, to 1e-8.
        relative_error: float64[size], standard error of P over P, from the randomisations; 0 where P is exact.
        converged: bool[size], whether randomisations agree well enough for Student's interval.
        verdicts: one sentence a function: what the estimate rests on, or what speaks against it.
        evaluations: int64[size], weights drawn; 0 where P is exact.
        method: "orthant".
        caveat: that some functions did not converge, in a sentence; None if all did.
    """

    tables: TruthTables
    where: NDArray[np.bool_] | None
    log2_p: NDArray[np.float64]
    log2_low: NDArray[np.float64]
    log2_high: NDArray[np.float64]
    confidence: float
    log2_floor: NDArray[np.float64]
    log2_ceiling: NDArray[np.float64]
    relative_error: NDArray[np.float64]
    converged: NDArray[np.bool_]
    verdicts: tuple[str, ...]
    evaluations: NDArray[np.int64]
    method: str = "orthant"
    caveat: str | None = None

    def __len__(self) -> int:
        return len(self.tables)

    def __repr__(self) -> str:
        not_converged = len(self) - int(np.count_nonzero(self.converged))
        finite = self.log2_p[np.isfinite(self.log2_p)]
        span = f", P from 2^{finite.min():.4g} to 2^{finite.max():.4g}" if len(finite) else ""
        return (
            f"OrthantEstimate({self.tables.domain}, {len(self):,} functions by minimax tilting{span}, "
            f"{100 * self.confidence:g} % intervals"
            f"{f'; {not_converged} not converged, see verdicts' if not_converged else ''})"
        )


def orthant_probability(
    gp: GaussianMap,
    tables: TruthTables,
    *,
    seed: int = 0,
    where: ArrayLike | None = None,
    points: int = 1 << 11,
    randomisations: int = 16,
    confidence: float = 0.95,
) -> OrthantEstimate:
    """P(f) of functions under a Gaussian process, by minimax tilting and Sobol points.

    Variables are ordered so that the least probable comes first given those before it. The N points are scrambled once
    and randomised R times by digital shifts, each of which has mean P exactly; the interval is Student's, from their
    mean and spread. One point or two need no sampling: 1/2, and 1/4 + asin(rho) / (2 pi).

    Singular kernels. A point of variance 0 has value 0 whatever z: it is left out, or P is 0. Points of correlation 1
    (to 1e-15) are merged. Where some non-negative combination of the logits, signed as the table wants them, has no
    variance, P is 0: they cannot all be positive. That is said of kernels that are singular beyond doubt, those with no
    eigenvalue of the correlations between m 1e-15 and 1e-6 times the largest. What is still singular is refused.

    Args:
        gp: maps.GaussianProcess, or maps.GaussianProcess.from_kernel of any covariance.
        tables: the functions.
        seed: 0 to 2^64 - 1; the result of a function depends on the seed and the function alone.
        where: bool[m] or bool[size, m], the points whose values count; P is then the mass of all functions that agree
            with the table there. All points by default.
        points: N, a power of two, the points of each randomisation.
        randomisations: R, at least 4.
        confidence: of each interval, between 0 and 1.

    Returns:
        OrthantEstimate, in the order of `tables`.

    Raises:
        InvalidInput: an argument outside what is allowed, another map, or correlations of the constraining points whose
            least eigenvalue is below 1e-8, or for some below 1e-7, where the saddle point is not found.
        IncompatibleTables: the tables live on another domain than the map.

    A function whose `relative_error` exceeds 0.1 is not `converged`: its interval is then the bracket from `log2_floor`
    to `log2_ceiling`, which assume nothing.

    Error: at 95 % the intervals covered 99, 97, 96 and 96 of 100 times: one factor, 16 of 32 and 64 of 128 signs, and
    parity of 5 inputs (ReLU, 1 and 2 layers). `relative_error` was 0.0005 to 0.002 there, 0.0006 to 0.07 on functions
    of 7 inputs from a constant to majority, the hardest, and 0.2 on majority of 8.
    Cost: N R of m^2 / 2 flops and m inverses of the normal law: 0.1 s a function of 5 inputs, 1 s of 7, 5 s of 8.
    Source: Botev 2017, Journal of the Royal Statistical Society B 79, 125; Gibson, Glasbey and Elston 1994 (order).

    Example:
        >>> from pfmap import Cube, maps
        >>> uniform = maps.GaussianProcess.from_kernel(np.eye(8), Cube(3))
        >>> orthant_probability(uniform, TruthTables.from_strings(["01101001"])).log2_p
        array([-8.])
    """
    confidence = check_confidence(confidence)
    K, mask = _check(gp, tables, where)
    check_seed(seed)
    if isinstance(points, bool) or not isinstance(points, int | np.integer) or points < 2 or points & (points - 1):
        raise InvalidInput(f"points is {points!r}; it needs a power of two from 2 up")
    at_least("randomisations", randomisations, 4)
    rows = []
    for index, wanted in enumerate(_wanted(tables, mask)):
        C = _correlation(K, wanted, index)
        rows.append(_measure(C, wanted, seed, int(points), int(randomisations), confidence))
    ln_p, low, high, floor, ceiling, error, evaluations = np.array(rows).T
    converged = error <= _UNSTEADY
    failed = int(np.count_nonzero(~converged))
    return OrthantEstimate(
        tables=tables,
        where=mask,
        log2_p=ln_p * LOG2_E,
        log2_low=np.where(converged, low, floor) * LOG2_E,
        log2_high=np.where(converged, high, ceiling) * LOG2_E,
        confidence=confidence,
        log2_floor=floor * LOG2_E,
        log2_ceiling=ceiling * LOG2_E,
        relative_error=error,
        converged=converged,
        verdicts=tuple(_verdict(*row, int(randomisations)) for row in zip(ln_p, error, evaluations, strict=True)),
        evaluations=evaluations.astype(np.int64),
        caveat=f"{failed} of {len(tables)} functions are not converged; `verdicts` says why." if failed else None,
    )


def _verdict(ln_p: float, error: float, evaluations: float, randomisations: int) -> str:
    if not evaluations:
        return "exact" if ln_p > -math.inf else "exact: a combination of the wanted logits has no variance, so P is 0"
    rests_on = (
        f"{randomisations} randomisations of {evaluations / randomisations:,.0f} points, relative error {error:.2g}"
    )
    if error <= _UNSTEADY:
        return f"converged: {rests_on}"
    return (
        f"not converged: {rests_on}, above {_UNSTEADY:g}, where Student's interval may be too narrow; the interval is "
        "the bracket of Markov's inequality and the saddle point; raise `points`"
    )


def _measure(
    C: NDArray[np.float64] | None, wanted: NDArray[np.int8], seed: int, n: int, r: int, confidence: float
) -> tuple[float, float, float, float, float, float, float]:
    """Ln of P, low, high, floor and ceiling; relative error; weights drawn."""
    if C is None:
        return *(5 * (-math.inf,)), 0.0, 0.0
    if len(C) <= 2:
        p = 0.25 + math.asin(C[0, 1]) / (2 * math.pi) if len(C) == 2 else 0.5 ** len(C)
        return *(5 * (math.log(p),)), 0.0, 0.0
    from scipy.special import stdtrit

    L = ordered_factor(C)
    tilt, ceiling = saddle_point(L)
    rng = generator(seed, f"orthant {wanted.tobytes().hex()}")
    means = np.array([_mean_weight(L, tilt, ceiling, u) for u in _sobol(len(C) - 1, n, r, rng)])
    mean, error = float(means.mean()), float(means.std(ddof=1)) / math.sqrt(r)
    reach = float(stdtrit(r - 1, (1 + confidence) / 2)) * error + 1e-12 * mean  # the rounding of a mean
    low = ceiling + math.log(mean - reach) if mean > reach else -math.inf
    high = ceiling + min(1e-12, math.log(mean + reach))
    with np.errstate(divide="ignore"):
        floor = ceiling + markov_floor(np.log(means), confidence)
    return ceiling + math.log(mean), low, high, floor, ceiling, error / mean, float(n * r)


def markov_floor(log_p: NDArray[np.float64], confidence: float) -> float:
    """Ln of a lower bound from ln of R independent estimates of mean P, at the level (1 + confidence) / 2.

    Markov's inequality for E[P_1 … P_R] = P^R and for E[mean] = P, at half the level each.
    """
    level = math.log((1 - confidence) / 4)
    return max(float(np.mean(log_p)) + level / len(log_p), log_mean(tuple(log_p.tolist())) + level)


def ordered_factor(C: NDArray[np.float64]) -> NDArray[np.float64]:
    """L of C = D L L^T D, of unit diagonal, rows ordered so that each step's event is the least probable.

    Error: float64 rounding. Cost: O(m^3). Source: Gibson, Glasbey and Elston 1994.
    """
    C, m = C.copy(), len(C)
    L, means = np.zeros_like(C), np.zeros(m)
    for k in range(m):
        spread = np.sqrt(C.diagonal()[k:] - np.square(L[k:, :k]).sum(axis=1))
        # The event is normal > limit, so the least probable has the highest limit.
        limits = -(L[k:, :k] @ means[:k]) / spread
        first = k + int(np.argmax(limits))
        if first != k:
            C[[k, first]] = C[[first, k]]
            C[:, [k, first]] = C[:, [first, k]]
            L[[k, first]] = L[[first, k]]
        L[k, k] = spread[first - k]
        L[k + 1 :, k] = (C[k + 1 :, k] - L[k + 1 :, :k] @ L[k, :k]) / L[k, k]
        means[k] = hazard(limits[first - k])
    return L / L.diagonal()[:, None]


def saddle_point(L: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Tilts mu [m] and psi at the saddle point: the least upper bound of all weights, over mu.

    With h the normal hazard at a_k - mu_k, the conditions are mu = (L - 1)^T h and x = mu + h, and they make h minimise

        sum of [integral of (t - v) dv from 0 to h_k, where v is the hazard at t] + h^T L L^T h / 2,

    which is strictly convex: there is one solution, found by Newton's method with steps halved until they descend.

    Raises:
        InvalidInput: it is not found in 100 steps, seen only at correlations with an eigenvalue below 1e-7.

    Error: float64 rounding. Cost: some 10 steps of O(m^3). Source: Botev 2017, section 3; the reduction is ours.
    """
    from scipy.special import log_ndtr

    M, t = L @ L.T, np.zeros(len(L))

    def objective(t: NDArray[np.float64]) -> float:
        h = hazard(t)
        return float(np.sum(t * h + log_ndtr(-t) - h * h / 2) + np.sum((L.T @ h) ** 2) / 2)

    value = objective(t)
    for _ in range(_MOST_STEPS):
        h = hazard(t)
        curvature = h * (h - t)  # dh/dt, between 0 and 1
        slope = t - h + L @ (L.T @ h)  # M @ h would lose digits where M is large
        step = -np.linalg.solve(np.diag(1 - curvature) + M * curvature, slope)
        descent, length = float(slope @ (curvature * step)), 1.0
        # Below 1e-8 a change drowns in the rounding of the objective, and full steps converge quadratically.
        while (proposed := objective(t + length * step)) > value + 1e-4 * length * descent and descent < -1e-8:
            length /= 2
        t, value = t + length * step, proposed
        if descent > -1e-12:
            break
    else:
        raise InvalidInput(
            f"no saddle point within {_MOST_STEPS} steps: the kernel is too nearly singular; use estimate_rare"
        )
    tilt = (L - np.eye(len(L))).T @ hazard(t)
    x = tilt + hazard(t)
    return tilt, float(np.sum(log_ndtr(-t) + tilt * tilt / 2 - tilt * x))


def hazard(t: ArrayLike) -> NDArray[np.float64]:
    """phi(t) / Phi(-t), the mean of a standard normal above t."""
    from scipy.special import erfcx

    with np.errstate(over="ignore"):
        return np.asarray(math.sqrt(2 / math.pi) / erfcx(np.asarray(t) / math.sqrt(2)))


def _mean_weight(L: NDArray[np.float64], tilt: NDArray[np.float64], ceiling: float, u: NDArray[np.float64]) -> float:
    """Mean of exp(psi - ceiling) over points u [N, m - 1] of the unit cube."""
    from scipy.special import log_ndtr, ndtri_exp

    m, log_u = len(L), np.log(u)
    x, psi = np.empty((m - 1, len(u))), np.full(len(u), -ceiling)
    for k in range(m):
        above = -tilt[k] - L[k, :k] @ x[:k]
        log_tail = log_ndtr(-above)
        psi += log_tail
        if k < m - 1:
            x[k] = tilt[k] - ndtri_exp(log_u[:, k] + log_tail)
            psi += tilt[k] * (tilt[k] / 2 - x[k])
    return float(np.exp(psi).mean())


def _sobol(dimension: int, n: int, r: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Scrambled Sobol points [n, dimension] under r independent digital shifts, at the middle of their cells."""
    from scipy.stats import qmc

    points = qmc.Sobol(dimension, bits=_BITS, seed=int(rng.integers(1 << 63))).random(n)
    cells = (points * 2.0**_BITS).astype(np.int64)
    for _ in range(r):
        yield ((cells ^ rng.integers(1 << _BITS, size=dimension)) + 0.5) * 2.0**-_BITS


# Expectation propagation


def expectation_propagation(
    gp: GaussianMap, tables: TruthTables, *, where: ArrayLike | None = None
) -> NDArray[np.float64]:
    """log2 P(f) by expectation propagation, float64[size]: an approximation of unknown error, to compare with.

    Each sign constraint is replaced by a Gaussian factor, until every factor matches the first two moments of the
    constraint given all other factors. No interval comes with it, for none is known; `orthant_probability` measures.

    Error: unknown and sometimes large, worst where many constraints say the same.
    Cost: O(m^3) a sweep, some ten to fifty sweeps.
    Source: Cunningham, Hennig and Lacoste-Julien 2011, arXiv 1111.6832; Rasmussen and Williams 2006, section 3.6.

    Raises:
        InvalidInput: as `orthant_probability`, or factors that do not settle within 500 sweeps.
        IncompatibleTables: the tables live on another domain than the map.
    """
    K, mask = _check(gp, tables, where)
    matrices = (_correlation(K, wanted, index) for index, wanted in enumerate(_wanted(tables, mask)))
    return np.array([-math.inf if C is None else LOG2_E * _propagate(C) for C in matrices])


def _propagate(C: NDArray[np.float64]) -> float:
    """Ln P(X > 0) for X ~ N(0, C), one factor after the other."""
    from scipy.special import log_ndtr

    m = len(C)
    precision, shift, cavities = np.zeros(m), np.zeros(m), np.zeros((m, 2))
    covariance = C.copy()
    for _ in range(_MOST_SWEEPS):
        before = precision.copy()
        for i in range(m):
            variance, mean = covariance[i, i], covariance[i] @ shift
            cavity_variance = 1 / (1 / variance - precision[i])
            cavity_mean = cavity_variance * (mean / variance - shift[i])
            z = cavity_mean / math.sqrt(cavity_variance)
            h = float(hazard(-z))
            matched_variance = cavity_variance * (1 - h * (z + h))
            refreshed = 1 / matched_variance - 1 / cavity_variance
            change, precision[i] = refreshed - precision[i], refreshed
            shift[i] = (cavity_mean + math.sqrt(cavity_variance) * h) / matched_variance - cavity_mean / cavity_variance
            covariance -= (change / (1 + change * variance)) * np.outer(covariance[i], covariance[i])
            cavities[i] = cavity_mean, cavity_variance
        root = np.sqrt(precision)
        B = np.eye(m) + root[:, None] * C * root
        covariance = C - (C * root) @ np.linalg.solve(B, root[:, None] * C)
        if np.allclose(precision, before, rtol=1e-8, atol=0.0):
            break
    else:
        raise InvalidInput(f"expectation propagation did not settle in {_MOST_SWEEPS} sweeps; use orthant_probability")
    # The normaliser: equation (3.65) with (3.73) and (3.74) of Rasmussen and Williams.
    mean, variance = cavities.T
    sums = 1 + precision * variance
    log_p = np.sum(log_ndtr(mean / np.sqrt(variance)) + np.log(sums) / 2) - np.linalg.slogdet(B)[1] / 2
    log_p += shift @ (covariance @ shift - shift * variance / sums) / 2
    log_p += np.sum(mean * (precision * mean - 2 * shift) / sums) / 2
    return float(log_p)


# What may come in


def _check(
    gp: Any, tables: TruthTables, where: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """The covariance, and the mask bool[size, m] or None."""
    if not isinstance(gp, get_args(GaussianMap)):
        name = getattr(gp, "__name__", type(gp).__name__)
        raise InvalidInput(
            f"{name} is no Gaussian process: an orthant probability needs an instance of maps.GaussianProcess "
            "(maps.GaussianProcess.limit_of a network is one); estimate_rare takes any map"
        )
    require_tables("orthant_probability", tables)
    if tables.domain != gp.domain:
        raise IncompatibleTables(f"the tables live on {tables.domain}, the map on {gp.domain}; they need one domain")
    if not len(tables):
        raise InvalidInput("tables holds no function; list at least one")
    return gp.kernel(), None if where is None else check_where(where, tables)


def _wanted(tables: TruthTables, where: NDArray[np.bool_] | None) -> Iterator[NDArray[np.int8]]:
    """For each function 1, -1 or 0 at each point."""
    for index in range(len(tables)):
        signs = np.where(tables[index].bits()[0], 1, -1).astype(np.int8)
        yield signs if where is None else np.where(where[index], signs, 0).astype(np.int8)


def _correlation(K: NDArray[np.float64], wanted: NDArray[np.int8], index: int) -> NDArray[np.float64] | None:
    """C of the constraints that remain, or None where P is 0."""
    fixed = K.diagonal() == 0.0
    if np.any(wanted[fixed] > 0):
        return None
    at = np.flatnonzero((wanted != 0) & ~fixed)
    scale = wanted[at] / np.sqrt(K.diagonal()[at])
    C = scale[:, None] * K[np.ix_(at, at)] * scale
    np.fill_diagonal(C, 1.0)
    if len(C) == 0 or np.linalg.eigvalsh(C)[0] >= _SINGULAR:
        return C
    first = np.flatnonzero(~np.any(np.tril(C, -1) > 1 - _ROUNDING, axis=1))
    C = C[np.ix_(first, first)]
    values, vectors = np.linalg.eigh(C)
    least = values[0]
    if least >= _SINGULAR:
        return C
    null = values < len(C) * _ROUNDING * values[-1]
    if values[~null][0] > _GAP * values[-1] and _cancels(np.sqrt(values[~null]) * vectors[:, ~null]):
        return None
    raise InvalidInput(
        f"the kernel at the {len(at)} points of tables[{index}] is singular or nearly so (least eigenvalue of the "
        f"correlations {least:.2g}, {_SINGULAR:g} is needed), and P is not seen to be 0; use estimate_rare on the same "
        "map, or constrain fewer points by `where`"
    )


def _cancels(rows: NDArray[np.float64]) -> bool:
    """Whether a convex combination of the rows is 0, so that no z has a positive product with all of them."""
    from scipy.optimize import nnls

    _, residual = nnls(np.vstack([rows.T, np.ones(len(rows))]), np.append(np.zeros(rows.shape[1]), 1.0))
    return bool(residual < 1e-9)
