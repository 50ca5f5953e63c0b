"""The command line: one command a step, each reading what `pfmap sample` left in a run folder.

The one thing to know: `prior`, `bound`, `test` and `plot` pick functions by one half of the sample and judge them by
the other.
"""

from __future__ import annotations

import csv
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from cyclopts import App, CycloptsError, Parameter

from pfmap import complexity
from pfmap.errors import InvalidInput, PfmapError, StoreError, TooFewSamples
from pfmap.maps.mlp import MLP, Activation, BiasScaling, Inputs
from pfmap.maps.readout import Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pfmap.bounds import LevinBound
    from pfmap.complexity import ComplexityMeasure
    from pfmap.counts import FunctionCounts
    from pfmap.hypotheses import HypothesisTest
    from pfmap.measuring import Measurement
    from pfmap.prior import PriorEstimate
    from pfmap.tables import TruthTables

app = App(
    name="pfmap",
    help="""The prior over Boolean functions of randomly initialised networks, against their complexity.

Start with

    pfmap sample -n 1000000 --out relu
    pfmap plot relu

and ask any command for its --help.""",
    help_format="plaintext",
    version_flags=["--version"],
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; the exit status is 0, 2 for a mistake, 130 after Ctrl-C."""
    try:
        command, bound, _ = app.parse_args(arguments, print_error=True, exit_on_error=False)
        command(*bound.args, **bound.kwargs)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads, `head` for one, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except CycloptsError:
        return 2
    except PfmapError as error:
        message = error.strerror if isinstance(error, StoreError) and error.strerror else error
        print(f"pfmap: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pfmap: stopped", file=sys.stderr)
        return 130
    return 0


def _number(type_: Any, tokens: Sequence[Any]) -> int:
    try:
        value = float(tokens[0].value)
        if value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError("it needs a whole number, such as 1000000 or 1e6")


MEASURES = {
    name: measure
    for name, measure in sorted(vars(complexity).items())
    if isinstance(measure, complexity.ComplexityMeasure) and not isinstance(measure, type)
}
ALL = "all"
_A_FEW_SECONDS = 5.0
_MAX_CANONICAL_POINTS = 128


def _known_measure(type_: Any, name: str) -> None:
    if name not in MEASURES:
        raise ValueError(f"choose one of {', '.join(MEASURES)}")


def _known_measures(type_: Any, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in MEASURES and name != ALL:
            raise ValueError(f"{name} is no measure; choose {ALL}, or some of {', '.join(MEASURES)}")


MeasureName: TypeAlias = Annotated[
    str, Parameter(name=["--measure", "-m"], validator=_known_measure, help=f"K, one of {', '.join(MEASURES)}.")
]
MeasureNames: TypeAlias = Annotated[
    tuple[str, ...],
    Parameter(
        name=["--measures", "--measure", "-m"],
        validator=_known_measures,
        negative="",
        consume_multiple=True,
        help=f"K, one or more of {', '.join(MEASURES)}; or {ALL}, for those that answer for these functions.",
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class Judging:
    """How functions are picked and judged.

    Attributes:
        confidence: Confidence of each interval.
        split: Pick functions by one half of the sample, judge them by the other; judging all by all overstates them.
        split_seed: Seed of the split.
    """

    confidence: float = 0.95
    split: bool = True
    split_seed: int = 1

    def estimate(self, counts: FunctionCounts) -> tuple[FunctionCounts, PriorEstimate]:
        """The counts that picked, and what the judge says of the functions in them."""
        from pfmap.prior import estimate_prior

        if not self.split or counts.at_least == 0:  # a set chosen before the draw needs no half to pick it
            return counts, estimate_prior(counts, confidence=self.confidence)
        if counts.cluster_size > 1:
            raise InvalidInput(
                "samples that share hidden layers have no independent halves. Judge the functions of this run by "
                "another one, pfmap sample --reuse --pilot RUN --seed 1 …, or by this one itself: --no-split"
            )
        pick, judge = counts.split(seed=self.split_seed)
        return pick, estimate_prior(judge, at=pick.tables, confidence=self.confidence)


@Parameter(name="*")
@dataclass(frozen=True)
class Network:
    """Which networks are drawn.

    Attributes:
        n_inputs: Inputs of the function, 1 to 16.
        hidden: Widths of the hidden layers, 40 40 if not given.
        perceptron: No hidden layer, and no bias term unless --sigma-b is given.
        activation: Of every hidden layer, relu if not given.
        sigma_w: Standard deviation of a weight times sqrt(fan in).
        sigma_b: Standard deviation of a bias term, 1 if not given; 0 for none.
        weights: Law of weights and bias terms.
        inputs: 01 for {0,1}, pm1 for {-1,+1}.
        bias_scaling: What the standard deviation of a bias term is made of: sigma_b; sigma_b / sqrt(fan in); or
            sigma_b sigma_w / fan out.
    """

    n_inputs: int = 7
    hidden: Annotated[tuple[int, ...] | None, Parameter(negative="", consume_multiple=True)] = None
    perceptron: Annotated[bool, Parameter(negative="")] = False
    activation: Activation | None = None
    sigma_w: float = 1.0
    sigma_b: float | None = None
    weights: Weights = "gaussian"
    inputs: Inputs = "01"
    bias_scaling: BiasScaling = "constant"

    def map(self) -> MLP:
        """The map that the flags name."""
        if self.perceptron and (self.hidden is not None or self.activation is not None):
            raise InvalidInput("--perceptron has no hidden layer; leave out --hidden and --activation, or --perceptron")
        return MLP(
            self.n_inputs,
            () if self.perceptron else (40, 40) if self.hidden is None else self.hidden,
            self.activation or "relu",
            self.sigma_w,
            float(not self.perceptron) if self.sigma_b is None else self.sigma_b,
            self.weights,
            self.inputs,
            self.bias_scaling,
        )


@app.command(sort_key=0)
def sample(
    *,
    n_samples: Annotated[int, Parameter(name=["-n", "--n-samples"], converter=_number)] = 1_000_000,
    out: Path = Path("run"),
    network: Network = Network(),
    seed: int = 0,
    reuse: Annotated[bool, Parameter(negative="")] = False,
    pilot: Path | None = None,
    orbits: Annotated[bool, Parameter(negative="")] = False,
    at_least: int = 1,
    memory: str | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
) -> None:
    """Draw random networks and count the functions they compute.

    The same command goes on where an earlier one was stopped, and gives the same bytes either way.

    Example: pfmap sample -n 1e6 --n-inputs 7 --hidden 40 40 --activation relu --out relu

    Args:
        n_samples: Networks to draw.
        out: Folder for the result.
        network: Which networks are drawn.
        seed: 0 to 2^64 - 1.
        reuse: Draw many read-outs for each draw of the hidden layers: a hundred times faster where functions are rare,
            and intervals allow for it. Judge such functions by a second draw: --pilot.
        pilot: Count only the functions that this other run lists, of another seed.
        orbits: Count orbits under the map's symmetries instead of functions.
        at_least: List functions that came so often; the others are summed up.
        memory: Limit for counting, such as 4GB, 512MB or more; half of what is free if not given.
        scheduler: Draw on a Dask cluster: address, scheduler file, or "local" to start one here.
        workers: Threads, all cores if not given; the result does not depend on it.
    """
    from pfmap.sampling import draw

    try:
        counts = draw(
            network.map(),
            n_samples,
            seed=seed,
            reuse="auto" if reuse else None,
            only=None if pilot is None else _load(pilot).tables,
            pool="orbits" if orbits else None,
            at_least=at_least,
            engine="auto" if scheduler is None else "dask",
            scheduler=None if scheduler == "local" else scheduler,
            memory=memory,
            workers=workers,
            out=out,
        )
    except KeyboardInterrupt:
        print(f"\npfmap: finished blocks are kept in {out}; the same command goes on from there", file=sys.stderr)
        raise
    kind = "functions" if counts.orbits is None else "orbits"
    clusters = f" in {counts.n_clusters:,} clusters" if counts.cluster_size > 1 else ""
    found = f"{len(counts):,} {kind}"
    if counts.at_least > 1:
        found += f" at least {counts.at_least} times, of {counts.totals().functions:,}"
    elif counts.at_least == 0:
        found = f"{int(counts.counts.sum()):,} of them of the {found} of {pilot}"
    print(f"{counts.n_samples:,} samples{clusters}, {found}: {out}")


@app.command(sort_key=1)
def prior(
    run: Path,
    /,
    *,
    top: int = 20,
    judging: Judging = Judging(),
    csv_file: Annotated[Path | None, Parameter(name="--csv")] = None,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
) -> None:
    """List the most probable functions with their intervals.

    Example: pfmap prior relu --top 10 --csv prior.csv

    Args:
        run: Folder that pfmap sample filled.
        top: Functions to list on the screen.
        judging: How functions are picked and judged.
        csv_file: Write all functions to this file.
        json_file: Write all functions, and the mass outside the sample, to this file.
    """
    _, estimate = judging.estimate(_load(run))
    shown = slice(0, max(top, 0))
    rows = zip(
        _names(estimate.tables[shown]),
        *(2.0 ** column[shown] for column in (estimate.log2_p, estimate.log2_low, estimate.log2_high)),
        strict=True,
    )
    level = f"{100 * estimate.confidence:g} %"
    _print_table(
        ("P", f"{level} from", "to", _name_title(estimate.tables)), ((p, low, high, f) for f, p, low, high in rows)
    )
    unseen = estimate.unseen
    print(
        f"{len(estimate):,} functions judged by {estimate.n_samples:,} samples; mass outside them "
        f"{2**unseen.log2_p:.4g} ({2**unseen.log2_low:.4g} to {2**unseen.log2_high:.4g})"
    )
    _print_caveat(estimate.caveat)
    columns = {
        "table": estimate.tables.strings,
        "count": estimate.counts.tolist,
        "log2_p": estimate.log2_p.tolist,
        "log2_low": estimate.log2_low.tolist,
        "log2_high": estimate.log2_high.tolist,
    }
    if csv_file is not None:
        _write_csv(csv_file, columns)
    if json_file is not None:
        about = {"n_samples": estimate.n_samples, "confidence": estimate.confidence, "caveat": estimate.caveat}
        mass = {"log2_p": unseen.log2_p, "log2_low": unseen.log2_low, "log2_high": unseen.log2_high}
        functions = {name: values() for name, values in columns.items()}
        _write(json_file, json.dumps(_finite({**about, "unseen": mass, "functions": functions})) + "\n")


@app.command(name="complexity", sort_key=2)
def complexity_(
    run: Path,
    /,
    *,
    measures: MeasureNames = ("lempel_ziv",),
    top: int | None = None,
    redo: Annotated[bool, Parameter(negative="")] = False,
    csv_file: Annotated[Path | None, Parameter(name="--csv")] = None,
) -> None:
    """Compute complexities into the run's table, and show how functions and samples spread over them.

    Each measure becomes a column of counts.parquet. What is there is not computed again, and the same command goes on
    where an earlier one was stopped. One measure is shown level by level, several in a line each.

    Example: pfmap complexity relu --measures all

    Args:
        run: Folder that pfmap sample filled.
        measures: K.
        top: Compute for so many most frequent functions only; the others stay null in the table.
        redo: Compute again what is there.
        csv_file: Write each function with its count and its complexities to this file.
    """
    import numpy as np

    from pfmap.measuring import add_complexity, missing_measurements
    from pfmap.store import load_complexity

    counts = _load(run)
    chosen = _answering(counts.tables) if ALL in measures else {name: MEASURES[name] for name in measures}
    missing = missing_measurements(run, counts.tables, chosen.values(), top=top, redo=redo)
    _announce(missing)
    try:
        add_complexity(run, counts.tables, missing)
    except KeyboardInterrupt:
        print(f"\npfmap: what is measured is kept in {run}; the same command goes on from there", file=sys.stderr)
        raise
    shown = slice(top)
    tables, numbers = counts.tables[shown], counts.counts[shown]
    if top is not None:
        share = numbers.sum() / counts.n_samples
        print(f"the {len(tables):,} most frequent functions, {100 * share:.4g} % of the samples")
    if len(chosen) == 1:
        ((name, measure),) = chosen.items()
        K = load_complexity(run, [name])[name][shown]
        _print_levels(counts, measure, K)
        print(f"mean {K.mean():.4g} over functions, {np.average(K, weights=numbers):.4g} over samples")
    else:
        columns = ((measure, load_complexity(run, [name])[name][shown]) for name, measure in chosen.items())
        _print_table(
            ("measure", "mean over functions", "over samples", "largest", "unit"),
            ((m.name, K.mean(), np.average(K, weights=numbers), K.max(), m.unit) for m, K in columns),
        )
    if csv_file is not None:
        values = {name: K[shown].tolist for name, K in load_complexity(run, chosen).items()}
        _write_csv(csv_file, {"table": tables.strings, "count": numbers.tolist, **values})


@app.command(sort_key=3)
def bound(
    run: Path,
    /,
    *,
    measure: MeasureName = "lempel_ziv",
    max_complexity: float | None = None,
    judging: Judging = Judging(),
) -> None:
    """Print the Levin bounds log2 P <= -a K - b, a priori and fitted, and how much lies above them.

    Example: pfmap bound relu

    Args:
        run: Folder that pfmap sample filled.
        measure: K.
        max_complexity: Largest K of any function, for the a priori bound; known for lempel_ziv.
        judging: How functions are picked and judged.
    """
    from pfmap.bounds import above, fit_levin_bound

    counts = _load(run)
    _, estimate = judging.estimate(counts)
    K = _complexity_of(run, measure, counts, estimate.tables)
    print(f"log2 P <= -a K - b, K = {measure} [{MEASURES[measure].unit}]")
    bounds = _a_priori_bounds(estimate, measure, max_complexity)
    for label, line in [*bounds, ("fitted", fit_levin_bound(estimate, K))]:
        beyond = above(line, estimate, K)
        print(f"{label}")
        print(f"  a = {_with_interval(line.a, line.a_low, line.a_high)}")
        print(f"  b = {_with_interval(line.b, line.b_low, line.b_high)}")
        functions = _with_interval(beyond.functions, beyond.functions_low, beyond.functions_high)
        mass = (2**x for x in (beyond.log2_mass, beyond.log2_mass_low, beyond.log2_mass_high))
        print(f"  above it: {functions} of the functions, {_with_interval(*mass)} of the probability")
    if not bounds:
        print(f"no a priori bound: the largest {measure} is not known here; pass --max-complexity")
    _print_caveat(estimate.caveat)


@app.command(name="test", sort_key=4)
def claims(
    run: Path,
    /,
    *,
    measures: MeasureNames = ("lempel_ziv",),
    max_complexity: float | None = None,
    permutations: int = 999,
    seed: int = 0,
    judging: Judging = Judging(),
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
) -> None:
    """Test claims about P and K: simplicity bias, also within strata, and the Levin bound; which K explains most.

    The tests of all measures are one family, corrected by Holm. Several measures are also compared by how much of P the
    law 2^(-a K) of each explains, where K of all functions is known: up to 4 inputs, and for some measures beyond.

    Example: pfmap test relu --json tests.json

    Args:
        run: Folder that pfmap sample filled.
        measures: K.
        max_complexity: Largest K of any function, for the a priori bound of one measure; known for lempel_ziv.
        permutations: Of K, for each test of simplicity bias.
        seed: Of the permutations.
        judging: How functions are picked and judged.
        json_file: Write all tests to this file.
    """
    from pfmap.hypotheses import correct_family

    counts = _load(run)
    chosen = _answering(counts.tables) if ALL in measures else {name: MEASURES[name] for name in measures}
    if max_complexity is not None and len(chosen) > 1:
        raise InvalidInput("--max-complexity belongs to one measure; pass it with one --measure")
    _, estimate = judging.estimate(counts)
    found = []
    for name in chosen:
        K = _complexity_of(run, name, counts, estimate.tables)
        bounds = _a_priori_bounds(estimate, name, max_complexity)
        found += [(name, t) for t in _tests_of(estimate, K, [line for _, line in bounds], permutations, seed)]
    tests = correct_family([t for _, t in found])
    named = [(name, t) for (name, _), t in zip(found, tests, strict=True)]
    level = f"{100 * judging.confidence:g} %"
    _print_table(
        ("K", "null hypothesis", "p", "Holm", "effect", f"{level} from", "to"),
        ((name, t.null, t.p_value, t.adjusted_p_value, t.effect, *t.effect_interval) for name, t in named),
    )
    for caveat in dict.fromkeys(t.caveat for t in tests):
        _print_caveat(caveat)
    record: dict[str, Any] = {"tests": [{"measure": name, **_as_record(t)} for name, t in named]}
    if len(chosen) > 1:
        record["which_complexity"] = _compare(counts, chosen, judging)
    if json_file is not None:
        _write(json_file, json.dumps(_finite(record)) + "\n")


def _tests_of(
    estimate: PriorEstimate, K: NDArray[np.float64], bounds: Sequence[LevinBound], permutations: int, seed: int
) -> Iterable[HypothesisTest]:
    from pfmap.hypotheses import levin_bound_test, levin_line_tests, levin_slope_test, simplicity_bias_test
    from pfmap.symmetry import NPN

    group = NPN if estimate.tables.domain.n_points <= _MAX_CANONICAL_POINTS else ()
    for within in ("", "hamming_weight", "entropy", "orbit_size") if group else ("", "hamming_weight", "entropy"):
        try:
            yield simplicity_bias_test(
                estimate,
                K,
                within=(within,) if within else (),  # type: ignore[arg-type]
                group=group,
                permutations=permutations,
                confidence=estimate.confidence,
                seed=seed,
            )
        except TooFewSamples as error:
            print(f"left out: {error}", file=sys.stderr)
    try:
        yield levin_slope_test(estimate, K, group=group, seed=seed)
        for bound in bounds[:1]:
            yield levin_bound_test(estimate, K, bound)
            yield from levin_line_tests(estimate, K, bound)
    except TooFewSamples as error:
        print(f"left out: {error}", file=sys.stderr)


def _compare(
    counts: FunctionCounts, measures: Mapping[str, complexity.ComplexityMeasure], judging: Judging
) -> dict[str, Any] | None:
    """Print which measure explains most, and return it; None where that is not known."""
    from pfmap.hypotheses import which_complexity

    try:
        found = which_complexity(
            counts, list(measures.values()), confidence=judging.confidence, seed=judging.split_seed
        )
    except InvalidInput as error:
        print(f"left out: {error}", file=sys.stderr)
        return None
    contenders = found.contenders
    level = f"{100 * found.confidence:g} %"
    columns = (found.a, found.bits, found.bits_low, found.bits_high, found.fraction)
    _print_table(
        ("K", "a", "bits explained", f"{level} from", "to", "fraction", "may be the best"),
        ((*row, "yes" if row[0] in contenders else "no") for row in zip(found.names, *columns, strict=True)),
    )
    total = _with_interval(found.total_bits, found.total_low, found.total_high)
    print(f"of KL(P || uniform) = {total} bits")
    names = ("a", "a_low", "a_high", "bits", "bits_low", "bits_high", "fraction", "fraction_low", "fraction_high")
    return {
        "measures": list(found.names),
        **{name: getattr(found, name).tolist() for name in names},
        "total_bits": found.total_bits,
        "total_low": float(found.total_low),
        "total_high": float(found.total_high),
        "confidence": found.confidence,
        "contenders": list(contenders),
        "tests": [_as_record(t) for t in found.best_tests()],
    }


def _as_record(test: HypothesisTest) -> dict[str, Any]:
    record = asdict(test)
    return {**record, "effect_interval": list(test.effect_interval), "sentence": str(test)}


@app.command(sort_key=5)
def plot(
    run: Path,
    /,
    *,
    rank: Annotated[bool, Parameter(negative="")] = False,
    measure: MeasureName = "lempel_ziv",
    fit: bool = True,
    judging: Judging = Judging(),
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
) -> None:
    """Draw prior probability against complexity, or against rank.

    Example: pfmap plot relu --out relu.pdf

    Args:
        run: Folder that pfmap sample filled.
        rank: Against rank, with Zipf's law, instead of complexity.
        measure: K.
        fit: Draw the fitted Levin bound.
        judging: How functions are picked and judged.
        out: The picture, .png, .pdf or .svg; a PNG in the run folder if not given.
    """
    from pfmap import plots
    from pfmap.bounds import fit_levin_bound

    counts = _load(run)
    pick, estimate = judging.estimate(counts)
    ax = plots.column_axes()
    if rank:
        plots.rank(estimate, by=pick, ax=ax)
    else:
        K = _complexity_of(run, measure, counts, estimate.tables)
        try:
            bound = fit_levin_bound(estimate, K) if fit else None
        except TooFewSamples as error:
            raise TooFewSamples(f"{error}, or draw no line: --no-fit", error.estimate) from None
        plots.prior_against_complexity(
            estimate,
            K,
            bound=bound,
            ax=ax,
            label=f"{measure} ({MEASURES[measure].unit})",
        )
    name = "rank.png" if rank else f"prior_against_{measure}.png"
    print(plots.save(ax, run / name if out is None else out))


@app.command(sort_key=6)
def rare(
    *functions: str,
    file: Path | None = None,
    network: Network = Network(),
    seed: int = 0,
    particles: int | None = None,
    confidence: float = 0.95,
    out: Path | None = None,
    csv_file: Annotated[Path | None, Parameter(name="--csv")] = None,
    workers: int | None = None,
) -> None:
    """Measure the probability of functions too rare to be drawn, by multilevel splitting.

    The same command with --out goes on where an earlier one was stopped.

    Example: pfmap rare 01101001 0110???? --n-inputs 3 --hidden 16

    Args:
        functions: Truth tables f(0) f(1) …; ? where the value does not matter.
        file: More of them, one a line.
        network: Which networks are drawn.
        seed: 0 to 2^64 - 1.
        particles: Of each run; by default as many as the function is rare.
        confidence: Confidence of each interval.
        out: Folder for finished functions.
        csv_file: Write all functions to this file.
        workers: Threads, all cores if not given; the result does not depend on it.
    """
    import numpy as np

    from pfmap.rare import estimate_rare
    from pfmap.tables import TruthTables

    texts = [*functions, *([] if file is None else _lines(file))]
    if not texts:
        raise InvalidInput("no function came; list truth tables such as 01101001, or a --file of them")
    tables = TruthTables.from_strings([text.replace("?", "0") for text in texts])
    where = np.array([[mark != "?" for mark in text] for text in texts])
    try:
        estimate = estimate_rare(
            network.map(),
            tables,
            where=where,
            seed=seed,
            particles=particles,
            confidence=confidence,
            out=out,
            workers=workers,
        )
    except KeyboardInterrupt:
        if out is not None:
            print(f"\npfmap: finished functions are kept in {out}; the same command goes on", file=sys.stderr)
        raise
    columns = (estimate.log2_p, estimate.log2_low, estimate.log2_high)
    _print_table(
        ("log2 P", f"{100 * confidence:g} % from", "to", "converged", "f(0) f(1) …"),
        zip(*columns, ["yes" if c else "no" for c in estimate.converged], texts, strict=True),
    )
    for text, verdict, converged in zip(texts, estimate.verdicts, estimate.converged, strict=True):
        if not converged:
            print(f"{text}: {verdict}")
    if csv_file is not None:
        names = ("log2_p", "log2_low", "log2_high", "log2_floor", "log2_ceiling", "converged", "evaluations")
        values = {name: getattr(estimate, name).tolist for name in names}
        _write_csv(csv_file, {"table": lambda: texts, **values, "verdict": lambda: estimate.verdicts})


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read as a list of truth tables ({error}); pass a text file") from None


def _load(run: Path) -> FunctionCounts:
    from pfmap.store import load_counts

    return load_counts(run)


def _answering(tables: TruthTables) -> dict[str, complexity.ComplexityMeasure]:
    """The measures that answer for these tables; the others are listed with what to use instead."""
    answering = {}
    for name, measure in MEASURES.items():
        try:
            measure(tables[:1])
        except InvalidInput as error:
            print(f"left out: {error}", file=sys.stderr)
        else:
            answering[name] = measure
    return answering


def _announce(missing: Sequence[Measurement]) -> None:
    """Say what takes more than a few seconds before it starts."""
    slow = [f"{m.measure.name} {_duration(m.seconds)}" for m in missing if m.seconds > _A_FEW_SECONDS]
    if slow:
        print(
            f"this takes about {_duration(sum(m.seconds for m in missing))}, of which {', '.join(slow)}; "
            "--top N takes the N most frequent functions alone",
            file=sys.stderr,
        )


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _complexity_of(run: Path, measure: str, counts: FunctionCounts, tables: TruthTables) -> NDArray[np.float64]:
    """K of some functions of a run: from its table where all of them are there, computed otherwise."""
    import numpy as np

    from pfmap.store import load_complexity, stored_measures

    stored = stored_measures(run)
    if measure in stored and stored[measure].is_current:
        K = load_complexity(run, [measure])[measure][tables.positions_in(counts.tables)]
        if not np.isnan(K).any():
            return K
    return MEASURES[measure](tables)


def _a_priori_bounds(
    estimate: PriorEstimate, measure: str, max_complexity: float | None
) -> list[tuple[str, LevinBound]]:
    from pfmap.bounds import a_priori_levin_bound

    if max_complexity is not None:
        largest = {f"a priori, largest K {max_complexity:g}": max_complexity}
    elif measure == "lempel_ziv":
        attained, not_exceeded = complexity.max_lempel_ziv(estimate.tables.n_inputs)
        if attained == not_exceeded:
            largest = {f"a priori, largest K {attained:g}": attained}
        else:
            largest = {
                f"a priori, largest K at least {attained:g}": attained,
                f"a priori, largest K at most {not_exceeded:g}": not_exceeded,
            }
    else:
        largest = {}
    return [(label, a_priori_levin_bound(estimate.tables, K)) for label, K in largest.items()]


def _names(tables: TruthTables) -> list[str]:
    if tables.domain.n_points <= 32:
        return tables.strings()
    return [f"0x{value:0{tables.domain.n_points // 4}x}" for value in tables.ints()]


def _name_title(tables: TruthTables) -> str:
    return "f(0) f(1) …" if tables.domain.n_points <= 32 else "function, bit j is f(j)"


def _print_table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    text = [[value if isinstance(value, str) else f"{value:.4g}" for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *text, strict=True)]
    for row in (titles, *text):
        print("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())


def _print_levels(counts: FunctionCounts, measure: ComplexityMeasure, K: NDArray[np.float64]) -> None:
    """Functions and P of each K; of the first functions alone, or of a set chosen before, how often they came."""
    import numpy as np

    from pfmap.complexity_prior import estimate_complexity_prior

    title = f"{measure.name} [{measure.unit}]"
    if len(K) == len(counts) and counts.at_least and (counts.orbits or frozenset()) <= measure.invariance:
        found = estimate_complexity_prior(counts, measure, K=K)
        ends = (2.0**x for x in (found.log2_p, found.log2_low, found.log2_high))
        _print_table(
            (title, "functions", "P(K)", f"{100 * found.confidence:g} % from", "to"),
            zip(found.levels, found.functions.tolist(), *ends, strict=True),
        )
    else:
        levels, where, functions = np.unique(K, return_inverse=True, return_counts=True)
        shares = np.bincount(where, counts.counts[: len(K)]) / counts.n_samples
        _print_table((title, "functions", "share of samples"), zip(levels, functions.tolist(), shares, strict=True))


def _print_caveat(caveat: str | None) -> None:
    if caveat is not None:
        print(f"Mind: {caveat}")


def _with_interval(value: float, low: float, high: float) -> str:
    return f"{value:.4g}" if low == high else f"{value:.4g} ({low:.4g} to {high:.4g})"


def _write_csv(path: Path, columns: Mapping[str, Callable[[], Sequence[Any]]]) -> None:
    lines = StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow(columns)
    writer.writerows(zip(*(values() for values in columns.values()), strict=True))
    _write(path, lines.getvalue())


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise StoreError(error.errno, f"{path}: {error.strerror}; choose a file that can be written") from error
    print(path)


def _finite(value: Any) -> Any:
    # JSON knows no infinities: log2 of 0 becomes null.
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
