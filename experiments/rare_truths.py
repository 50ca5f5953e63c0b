"""Splitting and tilting against truths from 2^-30 to 2^-131, direct sampling, and OpenTURNS' SubsetSampling."""

import math
import time

import numpy as np
from harness import remembered, run
from matplotlib.figure import Figure

import pfmap
from pfmap import Cube, Points, TruthTables, maps
from pfmap.rare import orthant_probability
from pfmap.rare.walkers import walker
from pfmap.streams import generator

LOG2_E = math.log2(math.e)
NET, STEEP = maps.MLP(3, (16,)), maps.MLP(5, (32,))
PARITY = TruthTables.from_bits(Cube(5).points().sum(axis=1, keepdims=True).T % 2)
OURS, TILTED, RIVAL = "#0072B2", "#009E73", "#D55E00"


def signs(K, n_positive):
    """A Gaussian vector of covariance K, and the table with the first n_positive signs positive."""
    domain = Points(len(K))
    return maps.GaussianProcess.from_kernel(K, domain), TruthTables.from_bits([np.arange(len(K)) < n_positive], domain)


def half_correlated(d):
    """Variance 1, correlation 1/2."""
    return (np.eye(d) + 1) / 2


# A perceptron without bias whose weights are all negative is all zeros on the n unit vectors, and there alone is asked.
TRUTHS = {
    "30 negative weights": (*signs(np.eye(30), 0), -30.0),
    "one factor, 16 of 32 positive": (*signs(half_correlated(32), 16), -23.7107 * LOG2_E),
    "60 negative weights": (*signs(np.eye(60), 0), -60.0),
    "ReLU process, parity of 5": (maps.GaussianProcess(5, 1), PARITY, None),  # None: by long tilted runs
    "ReLU process on ±1, parity of 5": (
        maps.GaussianProcess(5, 1, sigma_w=math.sqrt(2.0), sigma_b=math.sqrt(0.1), inputs="pm1"),
        PARITY,
        None,
    ),
    "K = I, n = 7": (*signs(np.eye(128), 64), -128.0),
    "one factor, 64 of 128 positive": (*signs(half_correlated(128), 64), -90.9289 * LOG2_E),
}
NAMES = tuple(TRUTHS)
KEYS = ("log2_p", "log2_low", "log2_high")
KEPT = (*KEYS, "log2_floor", "log2_ceiling", "converged", "evaluations")


def main(seed, reseeds, tilted_reseeds, rival_reseeds, rival_calls, n_direct, n_functions, cost_ones, folder):
    """Coverage of the truths, ten functions of the 3-16-1 net, cost against P, and the rival at equal evaluations.

    With a folder, what is finished there is not repeated: all together take some hours.
    """
    truths, seconds = {}, {}
    for name in reseeds:
        runs = {"splitting": reseeds[name], "tilting": tilted_reseeds[name], "SubsetSampling": rival_reseeds[name]}
        truths[name], seconds[name] = measure(name, seed, runs, rival_calls.get(name, math.inf), folder)
        print(name, f"{truths[name]['splitting']['covered']} of {reseeds[name]}", seconds[name], flush=True)
    direct = remembered(folder, f"direct {seed} {n_direct} {n_functions}", against_direct, seed, n_direct, n_functions)
    print({key: value for key, value in direct.items() if key != "functions"}, flush=True)
    costs, seconds_of_cost = remembered(folder, f"cost {seed} {cost_ones}", cost_against_p, seed, cost_ones)
    numbers = {"truths": truths, "3-16-1": direct, "cost, 5-32-1": costs}
    measured = {"cpu_seconds_a_run": seconds, "cpu_seconds_of_cost": seconds_of_cost}
    return picture(truths, direct, costs), numbers, measured


def measure(name, seed, runs, most_calls, folder):
    """One truth by splitting, tilting and, with as many evaluations as splitting, the rival; CPU seconds a run."""
    pfm, table, truth = TRUTHS[name]
    if truth is None:
        truth = float(orthant_probability(pfm, table, seed=seed + 10**6, points=1 << 14).log2_p[0])
    found, seconds = {"log2_truth": truth}, {}
    for way in ("splitting", "tilting"):
        rows = [remembered(folder, f"{name}, {way} {seed + r}", once, way, name, seed + r) for r in range(runs[way])]
        found[way] = coverage(rows, truth)
        seconds[way] = float(np.mean([row["cpu_seconds"] for row in rows]))
    if runs["SubsetSampling"]:
        evaluations = min(most_calls, found["splitting"]["mean_evaluations"])
        settings = pfm, table, truth, evaluations, seed, runs["SubsetSampling"]
        key = f"{name}, SubsetSampling {seed} {runs['SubsetSampling']} {evaluations:.0f}"
        found["SubsetSampling"] = remembered(folder, key, rival, *settings)
    return found, seconds


def once(way, name, seed):
    """One run of one seed: its numbers, and its CPU seconds."""
    pfm, table, _ = TRUTHS[name]
    start = time.process_time()
    if way == "splitting":
        found = pfmap.estimate_rare(pfm, table, seed=seed, workers=1)
    else:
        found = orthant_probability(pfm, table, seed=seed)
    seconds = time.process_time() - start
    return {"cpu_seconds": seconds, **{key: getattr(found, key)[0].item() for key in KEPT}}


def coverage(rows, truth):
    """How often the 95 % intervals cover the truth; wrong ones miss it and are off by more than a factor of 2."""
    p, low, high, floor, ceiling, converged, evaluations = (np.array([row[key] for row in rows]) for key in KEPT)
    covered = (low <= truth) & (truth <= high)
    return {
        "runs": len(rows),
        "covered": int((covered & converged).sum()),
        "not_converged": int((~converged).sum()),
        "wrong": int((converged & ~covered & (abs(p - truth) > 1)).sum()),
        "mean_error_bits": float((p - truth).mean()),
        "rms_error_bits": float(np.sqrt(((p - truth) ** 2).mean())),
        "mean_width_bits": float((high - low)[converged].mean()) if converged.any() else None,
        "floors_above_truth": int((floor > truth + 1e-9).sum()),
        "ceilings_below_truth": int((ceiling < truth - 1e-9).sum()),
        "mean_evaluations": float(evaluations.mean()),
        "log2_p": finite(p),
        "log2_low": finite(low),
        "log2_high": finite(high),
    }


def finite(values):
    """Eight digits for JSON, which knows no infinities: None for a P of 0."""
    return [float(f"{x:.8g}") if math.isfinite(x) else None for x in values]


def rival(pfm, table, truth, evaluations, seed, runs):
    """SubsetSampling on the same level at about as many evaluations; its 95 % intervals are those it reports.

    Where its samples become copies of one another its threshold stands still and it does not end: it is stopped at
    twice the evaluations.
    """
    import openturns as ot

    level, calls = walker(pfm, np.where(table.bits()[0], 1, -1).astype(np.int8)), 0

    def levels(z):
        nonlocal calls
        calls += len(z)
        if calls > 2 * evaluations:
            raise RuntimeError("twice the evaluations")
        return level.levels(np.array(z))[:, None]

    ot.Log.Show(ot.Log.NONE)
    function, normal = ot.PythonFunction(pfm.n_latents, 1, func_sample=levels), ot.Normal(pfm.n_latents)
    rounds, rows = abs(truth) / math.log2(10) + 1, []
    for r in range(runs):
        ot.RandomGenerator.SetSeed(seed + r)
        event = ot.ThresholdEvent(ot.CompositeRandomVector(function, ot.RandomVector(normal)), ot.GreaterOrEqual(), 0.0)
        algorithm, calls = ot.SubsetSampling(event), 0
        algorithm.setMaximumOuterSampling(10)
        algorithm.setBlockSize(max(100, int(evaluations / rounds / 10)))
        try:
            algorithm.run()
        except RuntimeError as error:
            if "twice the evaluations" not in str(error):
                raise
            rows.append((math.nan, math.nan, calls))
        else:
            result = algorithm.getResult()
            rows.append((result.getProbabilityEstimate(), result.getConfidenceLength(0.95) / 2, calls))
    p, reach, calls = np.array(rows).T
    with np.errstate(divide="ignore", invalid="ignore"):
        log2_p, low, high = np.log2(p), np.log2(np.maximum(p - reach, 0)), np.log2(p + reach)
    ended = ~np.isnan(p)
    covered = (low <= truth) & (truth <= high)
    error = (log2_p - truth)[ended]
    return {
        "runs": runs,
        "ended": int(ended.sum()),
        "covered": int(covered.sum()),
        "wrong": int((ended & ~covered)[ended][abs(error) > 1].sum()),
        "mean_error_bits": finite([error.mean()])[0] if ended.any() else None,
        "rms_error_bits": finite([np.sqrt((error**2).mean())])[0] if ended.any() else None,
        "mean_evaluations": float(calls.mean()),
        "log2_p": finite(log2_p),
        "log2_low": finite(low),
        "log2_high": finite(high),
    }


def against_direct(seed, n_direct, n_functions):
    """Functions of the 3-16-1 net between 1e-3 and 1e-7, chosen by one draw, judged by another and by splitting."""
    pick = pfmap.draw(NET, n_direct // 10, seed=seed, reuse="auto")
    frequency = pick.counts / pick.n_samples
    fitting = np.flatnonzero((frequency < 1e-3) & (frequency > 1e-7) & (pick.counts >= 2))
    chosen = pick.tables[fitting[np.linspace(0, len(fitting) - 1, n_functions).astype(int)]]
    direct = pfmap.estimate_prior(pfmap.draw(NET, n_direct, seed=seed + 1, reuse="auto", only=chosen), at=chosen)
    rare = pfmap.estimate_rare(NET, chosen, seed=seed)
    meet = (direct.log2_low <= rare.log2_high) & (rare.log2_low <= direct.log2_high)
    return {
        "networks_that_judge": n_direct,
        "functions": chosen.strings(),
        "intervals_that_meet": int(meet.sum()),
        "converged": int(rare.converged.sum()),
        "rms_difference_bits": float(np.sqrt(np.mean((rare.log2_p - direct.log2_p) ** 2))),
        "log2_p_direct": direct.log2_p,
        "direct_low": direct.log2_low,
        "direct_high": direct.log2_high,
        "log2_p": rare.log2_p,
        "log2_low": rare.log2_low,
        "log2_high": rare.log2_high,
    }


def cost_against_p(seed, ones):
    """Evaluations and CPU seconds of tables of 5 inputs by their P, each with more of a random table's ones."""
    order = generator(seed, "rare truths, tables").permutation(32)
    tables = TruthTables.from_bits([np.isin(np.arange(32), order[:n]) for n in ones])
    estimates, seconds = [], []
    for i in range(len(tables)):
        start = time.process_time()
        estimates.append(pfmap.estimate_rare(STEEP, tables[i], seed=seed, workers=1))
        seconds.append(time.process_time() - start)
        print(tables[i].strings(), estimates[-1].verdicts, estimates[-1].log2_p, f"{seconds[-1]:.1f} s", flush=True)
    rows = {key: [getattr(e, key)[0] for e in estimates] for key in ("log2_p", "log2_low", "log2_high")}
    return {
        "functions": tables.strings(),
        **{key: finite(values) for key, values in rows.items()},
        "evaluations": [int(e.evaluations[0]) for e in estimates],
        "converged": [bool(e.converged[0]) for e in estimates],
    }, seconds


def readme_rows(record):
    """The table of README.md."""
    for name, found in record["numbers"]["truths"].items():
        ours, theirs = found["splitting"], found.get("SubsetSampling")
        cells = [f"{name}, 2^{found['log2_truth']:.0f}"]
        cells += [millions(ours), f"{ours['rms_error_bits']:.2g}"]
        unsure = ours["not_converged"]
        cells += [f"{ours['covered']} of {ours['runs']}" + (f", {unsure} not converged" if unsure else "")]
        if theirs and theirs["ended"]:
            cells += [millions(theirs), f"{theirs['rms_error_bits']:.2g}"]
            cells += [f"{theirs['covered']} of {theirs['runs']}"]
        elif theirs:
            cells += [
                millions(theirs),
                "",
                f"does not end, {theirs['runs']} of {theirs['runs']}",
            ]
        else:
            cells += ["", "", ""]
        yield f"| {' | '.join(cells)} |".replace("|  ", "| ")


def millions(one):
    """Evaluations a run, in millions."""
    million = one["mean_evaluations"] / 1e6
    return f"{million:.1f}" if million < 10 else f"{million:.0f}"


def picture(truths, direct, costs):
    """Errors of the truths, splitting against frequency, cost against (log P)^2."""
    figure = Figure(figsize=(7.2, 5.0))
    figure.subplots_adjust(left=0.085, right=0.985, bottom=0.095, top=0.98, hspace=0.42, wspace=0.24)
    grid = figure.add_gridspec(2, 2)
    top, middle, bottom = (figure.add_subplot(cell) for cell in (grid[0, :], grid[1, 0], grid[1, 1]))
    for x, found in enumerate(truths.values()):
        if not found.get("SubsetSampling", {}).get("ended", 1):
            top.annotate("does not\nend", (x + 0.35, 0.15), fontsize=6.5, color=RIVAL, ha="center")
        for method, color, from_, to in (
            ("splitting", OURS, -0.42, 0.1),
            ("tilting", TILTED, 0.14, 0.24),
            ("SubsetSampling", RIVAL, 0.28, 0.42),
        ):
            if found.get(method, {}).get("ended", 1) and method in found:
                errors(top, np.linspace(from_, to, found[method]["runs"]), x, found, method, color)
    top.axhline(0, color="black", linewidth=0.6)
    top.set(ylim=(-2, 2))
    names = [f"{name.replace(', ', chr(10))}\n$2^{{{f['log2_truth']:.0f}}}$" for name, f in truths.items()]
    top.set_xticks(range(len(truths)), names)
    top.set_ylabel("bits above the truth")
    top.legend(fontsize=7, frameon=False, loc="upper left", ncols=3, markerscale=3)
    x, y = np.asarray(direct["log2_p_direct"]), np.asarray(direct["log2_p"])
    ends = [x - direct["direct_low"], direct["direct_high"] - x], [y - direct["log2_low"], direct["log2_high"] - y]
    middle.plot(x, x, color="0.6", linewidth=0.8)
    middle.errorbar(x, y, xerr=ends[0], yerr=ends[1], fmt="o", markersize=2, elinewidth=0.8, color=OURS)
    middle.set_xlabel(rf"$\log_2 P$, {direct['networks_that_judge']:.0e} draws of 3-16-1")
    middle.set_ylabel(r"$\log_2 P$ by splitting")
    depth = -np.array(costs["log2_p"], float)
    bottom.loglog(depth, costs["evaluations"], "o", markersize=3, color=OURS, label="5-32-1 net")
    bottom.loglog(
        [-found["log2_truth"] for found in truths.values()],
        [found["splitting"]["mean_evaluations"] for found in truths.values()],
        "s",
        markersize=3,
        color=TILTED,
        label="truths above",
    )
    for found in truths.values():
        if found["splitting"]["mean_evaluations"] > 1e8:
            at = -found["log2_truth"], found["splitting"]["mean_evaluations"]
            bottom.annotate(
                "parity: walks mix slowly", at, (-5, -2), textcoords="offset points", fontsize=6.5, ha="right"
            )
    line = np.array([np.nanmin(depth), 140.0])
    through = np.nanmedian(np.array(costs["evaluations"]) / depth**2)
    bottom.loglog(line, through * line**2, color="0.6", linewidth=0.8, label=r"$\propto (\log P)^2$")
    bottom.set_xlabel(r"$-\log_2 P$")
    bottom.set_ylabel("levels evaluated")
    bottom.legend(fontsize=7, frameon=False)
    for ax in (top, middle, bottom):
        ax.tick_params(labelsize=6.5)
        ax.xaxis.label.set_size(8)
        ax.yaxis.label.set_size(8)
    return figure


def errors(ax, at, x, found, method, color):
    """Points and intervals of one method and truth, as bits above the truth."""
    p, low, high = (np.array(found[method][key], float) - found["log2_truth"] for key in KEYS)
    low, high = np.where(np.isfinite(low), low, -9.0), np.where(np.isfinite(high), high, 9.0)
    ends = [np.maximum(p - low, 0), np.maximum(high - p, 0)]
    label = method if x == 0 else None
    ax.errorbar(at + x, p, yerr=ends, fmt="o", markersize=1, elinewidth=0.35, color=color, label=label)


if __name__ == "__main__":
    run(
        main,
        quick={
            "reseeds": dict.fromkeys(NAMES[:2], 4),
            "tilted_reseeds": dict.fromkeys(NAMES[:2], 10),
            "rival_reseeds": dict.fromkeys(NAMES[:2], 1),
            "rival_calls": {},
            "n_direct": 10_000_000,
            "n_functions": 4,
            "cost_ones": [1, 2],
            "folder": None,
        },
        full={
            "reseeds": dict.fromkeys(NAMES, 100) | {NAMES[3]: 10},  # 191 million evaluations a run
            "tilted_reseeds": dict.fromkeys(NAMES, 100),
            "rival_reseeds": dict(zip(NAMES, (10, 10, 2, 2, 2, 0, 0), strict=True)),
            "rival_calls": dict.fromkeys(NAMES[2:5], 1_000_000),
            "n_direct": 1_000_000_000,
            "n_functions": 10,
            "cost_ones": [1, 2, 3, 4, 5],
            "folder": "runs/rare_truths",
        },
    )
