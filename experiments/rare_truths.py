"""Splitting against truths from 2^-30 to 2^-131, against direct sampling, and against OpenTURNS' SubsetSampling."""

import math
import time

import numpy as np
from harness import run
from matplotlib.figure import Figure

import pfmap
from pfmap import Points, TruthTables, maps
from pfmap.prior import lower_limit, upper_limit
from pfmap.rare.walkers import walker

LOG2_E = math.log2(math.e)
HALF = math.sqrt(0.5)


def signs(name, d, n_latents, function, n_positive):
    """A map whose logits are one latent vector's, and the table with the first n_positive signs positive."""
    table = TruthTables.from_bits((np.arange(d) < n_positive)[None], Points(d))
    return maps.LatentFunction(name, Points(d), n_latents, function), table


def one_factor(d, n_positive):
    """Logits of variance 1 and correlation 1/2."""
    return signs(f"one factor, {d}", d, d + 1, lambda z: HALF * (z[:, :1] + z[:, 1:]), n_positive)


# A perceptron without bias whose weights are all negative is all zeros on the n unit vectors, and there alone is asked.
TRUTHS = {
    "perceptron of 30 negative weights": (*signs("weights", 30, 30, lambda z: z, 0), -30.0),
    "one factor, 16 of 32": (*one_factor(32, 16), -23.7107 * LOG2_E),
    "perceptron of 60 negative weights": (*signs("weights", 60, 60, lambda z: z, 0), -60.0),
    "one factor, 64 of 128": (*one_factor(128, 64), -90.9289 * LOG2_E),
    "K = I, n = 7": (*signs("independent", 128, 128, lambda z: z, 64), -128.0),
}
NET = maps.MLP(3, (16,))
STEEP = maps.MLP(5, (32,))


def main(seed, reseeds, rival_reseeds, n_direct, n_functions, cost_functions):
    """Coverage of the truths, ten functions of the 3-16-1 net, cost against P, and the rival at equal evaluations."""
    truths, measured = {}, {}
    for name, (pfm, table, truth) in TRUTHS.items():
        start = time.process_time()
        truths[name] = coverage(pfm, table, truth, seed, reseeds.get(name, 0))
        measured[name] = (time.process_time() - start) / max(1, reseeds.get(name, 0))
        print(name, truths[name], f"{measured[name]:.1f} CPU s a run", flush=True)
    rivals = {name: rival(*TRUTHS[name], truths[name], seed, rival_reseeds) for name in truths if truths[name]["runs"]}
    direct = against_direct(seed, n_direct, n_functions)
    costs, seconds = cost_against_p(seed, cost_functions)
    numbers = {"truths": truths, "SubsetSampling": rivals, "3-16-1": direct, "cost": costs}
    return picture(truths, direct, costs), numbers, {"cpu_seconds_a_run": measured, "cpu_seconds_of_cost": seconds}


def coverage(pfm, table, truth, seed, runs):
    """How often 95 % intervals of runs of different seeds cover the truth."""
    results = [pfmap.estimate_rare(pfm, table, seed=seed + r, workers=1) for r in range(runs)]
    p, low, high = (np.array([getattr(e, key)[0] for e in results]) for key in ("log2_p", "log2_low", "log2_high"))
    converged = np.array([e.converged[0] for e in results], bool)
    covered = (low <= truth) & (truth <= high)
    return {
        "log2_truth": truth,
        "runs": runs,
        "covered": int((covered & converged).sum()),
        "not_converged": int((~converged).sum()),
        "confidently_wrong": int((converged & ~covered & (abs(p - truth) > 1.0)).sum()),
        "floor_above_truth": sum(bool(e.log2_floor[0] > truth) for e in results),
        "mean_error_bits": float((p - truth).mean()) if runs else None,
        "rms_error_bits": float(np.sqrt(((p - truth) ** 2).mean())) if runs else None,
        "mean_width_bits": float((high - low)[converged].mean()) if converged.any() else None,
        "mean_evaluations": float(np.mean([e.evaluations[0] for e in results])) if runs else None,
        "log2_p": finite(p),
        "log2_low": finite(low),
        "log2_high": finite(high),
    }


def finite(values):
    """Numbers for JSON, which knows no infinities: None for a P of 0."""
    return [float(x) if math.isfinite(x) else None for x in values]


def rival(pfm, table, truth, ours, seed, runs):
    """SubsetSampling on the same level at no fewer evaluations; its 95 % intervals are those it reports."""
    try:
        import openturns as ot
    except ImportError:
        return {"runs": 0, "why": "openturns is not installed"}
    level = walker(pfm, np.where(table.bits()[0], 1, -1).astype(np.int8))
    ot.Log.Show(ot.Log.NONE)
    function = ot.PythonFunction(pfm.n_latents, 1, func_sample=lambda z: level.levels(np.array(z))[:, None])
    normal = ot.Normal(pfm.n_latents)
    block = max(100, int(ours["mean_evaluations"] / (abs(truth) / math.log2(10) + 1) / 10))
    rows = []
    for r in range(runs):
        ot.RandomGenerator.SetSeed(seed + r)
        event = ot.ThresholdEvent(ot.CompositeRandomVector(function, ot.RandomVector(normal)), ot.GreaterOrEqual(), 0.0)
        algorithm = ot.SubsetSampling(event)
        algorithm.setMaximumOuterSampling(10)
        algorithm.setBlockSize(block)
        algorithm.run()
        result = algorithm.getResult()
        p, length = result.getProbabilityEstimate(), result.getConfidenceLength(0.95)
        rows.append((p, p - length / 2, p + length / 2, function.getEvaluationCallsNumber()))
    if not rows:
        return {"runs": 0}
    p, low, high, calls = np.array(rows).T
    with np.errstate(divide="ignore"):
        log2_p = np.log2(p)
    covered = (low <= 2.0**truth) & (2.0**truth <= high)
    error = np.minimum(np.abs(log2_p - truth), 9999.0)
    return {
        "runs": runs,
        "covered": int(covered.sum()),
        "confidently_wrong": int((~covered & (error > 1.0)).sum()),
        "rms_error_bits": float(np.sqrt((error**2).mean())),
        "mean_evaluations": float(np.diff(calls, prepend=0.0).mean()),
    }


def against_direct(seed, n_direct, n_functions):
    """Functions of the 3-16-1 net between 1e-3 and 1e-7, by splitting and by direct sampling."""
    pick = pfmap.draw(NET, n_direct // 10, seed=seed)
    frequency = pick.counts / pick.n_samples
    fitting = np.flatnonzero((frequency < 1e-3) & (pick.counts >= 2) & (frequency > 1e-7))
    chosen = pick.tables[fitting[np.linspace(0, len(fitting) - 1, n_functions).astype(int)]]
    judge = pfmap.draw(NET, n_direct, seed=seed + 1)
    counts = judge.at(chosen)
    rare = pfmap.estimate_rare(NET, chosen, seed=seed)
    low, high = (limit(counts, n_direct, 0.025) for limit in (lower_limit, upper_limit))
    return {
        "functions": chosen.strings(),
        "log2_p_direct": np.log2(counts / n_direct),
        "direct_low": low,
        "direct_high": high,
        "log2_p": rare.log2_p,
        "log2_low": rare.log2_low,
        "log2_high": rare.log2_high,
        "converged": rare.converged,
        "intervals_that_meet": int(((low <= rare.log2_high) & (rare.log2_low <= high)).sum()),
    }


def cost_against_p(seed, n_functions):
    """Evaluations and CPU seconds of tables of 5 inputs by their P, each with more of a random table's ones."""
    rng = pfmap.streams.generator(seed, "rare truths, tables")
    order = rng.permutation(32)[: max(1, n_functions)]
    tables = TruthTables.from_bits(np.array([np.isin(np.arange(32), order[: i + 1]) for i in range(n_functions)]))
    rows, seconds = [], []
    for i in range(n_functions):
        start = time.process_time()
        e = pfmap.estimate_rare(STEEP, tables[i], seed=seed, workers=1)
        seconds.append(time.process_time() - start)
        rows.append((e.log2_p[0], e.log2_low[0], e.log2_high[0], e.evaluations[0], e.converged[0]))
        print(tables[i].strings(), rows[-1], f"{seconds[-1]:.1f} s", flush=True)
    keys = ("log2_p", "log2_low", "log2_high", "evaluations", "converged")
    columns = dict(zip(keys, zip(*rows, strict=True), strict=True))
    return {**columns, **{key: finite(columns[key]) for key in keys[:3]}}, seconds


def picture(truths, direct, costs):
    """Errors of the truths, splitting against frequency, cost against (log P)^2."""
    figure = Figure(figsize=(3.4, 6.4))
    figure.subplots_adjust(left=0.17, right=0.96, bottom=0.075, top=0.985, hspace=0.36)
    top, middle, bottom = figure.subplots(3)
    for x, found in enumerate(truths.values()):
        if not found["runs"]:
            continue
        truth, p = found["log2_truth"], np.array(found["log2_p"], float)
        low, high = (np.array(found[key], float) for key in ("log2_low", "log2_high"))
        at = x + np.linspace(-0.35, 0.35, len(p))
        ends = np.clip([p - low, high - p], 0.0, 50.0)
        top.errorbar(at, p - truth, yerr=ends, fmt="o", markersize=1.2, elinewidth=0.4, color="#0072B2")
    top.axhline(0, color="black", linewidth=0.8)
    top.set_xticks(range(len(truths)), [rf"$2^{{{found['log2_truth']:.0f}}}$" for found in truths.values()])
    top.set_ylabel(r"$\log_2 \hat P - \log_2 P$", fontsize=8)
    top.set_ylim(-1.5, 1.5)
    x, y = np.asarray(direct["log2_p_direct"]), np.asarray(direct["log2_p"])
    middle.errorbar(
        x,
        y,
        xerr=[x - direct["direct_low"], direct["direct_high"] - x],
        yerr=[y - direct["log2_low"], direct["log2_high"] - y],
        fmt="o",
        markersize=2,
        elinewidth=0.6,
        color="#0072B2",
    )
    middle.plot(x, x, color="black", linewidth=0.8)
    middle.set_xlabel(r"$\log_2$ frequency, 3-16-1 net", fontsize=8)
    middle.set_ylabel(r"$\log_2 P$ by splitting", fontsize=8)
    depth, evaluations = -np.array(costs["log2_p"], float), np.asarray(costs["evaluations"], float)
    bottom.loglog(depth, evaluations, "o", markersize=2.5, color="#0072B2")
    line = np.sort(depth)
    bottom.loglog(line, np.nanmedian(evaluations / depth**2) * line**2, color="black", linewidth=0.8)
    bottom.set_xlabel(r"$-\log_2 P$, 5-32-1 net", fontsize=8)
    bottom.set_ylabel(r"evaluations; line $\propto (\log P)^2$", fontsize=8)
    for ax in (top, middle, bottom):
        ax.tick_params(labelsize=7)
    return figure


NAMES = tuple(TRUTHS)

if __name__ == "__main__":
    run(
        main,
        quick={
            "reseeds": dict.fromkeys(NAMES[:2], 5),
            "rival_reseeds": 2,
            "n_direct": 1_000_000,
            "n_functions": 4,
            "cost_functions": 6,
        },
        full={
            "reseeds": dict.fromkeys(NAMES, 100),
            "rival_reseeds": 10,
            "n_direct": 1_000_000_000,
            "n_functions": 10,
            "cost_functions": 14,
        },
    )
