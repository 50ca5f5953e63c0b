"""README.md is true: its Python runs, and its numbers are those of figures/*.json."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import pfmap
from pfmap import complexity
from pfmap.complexity.tabulated import read_tables

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXT = " ".join(README.split())


def measured(name="throughput"):
    return json.loads((ROOT / "figures" / f"{name}.json").read_text(encoding="utf-8"))


def assert_said(*claims):
    """README says each of these, wherever its lines break."""
    for claim in claims:
        assert claim in TEXT, claim


def test_the_python_of_the_readme_runs_and_ends_in_a_plot(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, *more = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(first.splitlines()) == 8
    names = {}
    exec(first.replace("1_000_000", "20_000"), names)
    assert (tmp_path / "prior.png").stat().st_size > 10_000
    for code in more:
        exec(code.replace("10_000_000", "300_000"), names)
    assert names["prior"].n_samples >= 300_000


def test_the_levels_of_tests_are_what_was_simulated():
    record = measured("hypotheses_calibration")
    found = [rate for laws in record["numbers"]["level"].values() for rate in laws.values()]
    exact = [rate for rate in found if rate["nominal"] == "0.05"]
    limits = [rate for rate in found if rate["nominal"] != "0.05"]
    outside = [name for name, laws in record["numbers"]["level"].items() for x in laws.values() if not x["is_within"]]
    assert outside == ["slope against its control"]
    assert min(exact, key=lambda x: x["rate"])["is_within"] is False
    planted = record["numbers"]["planted_measure"].values()
    runs = sum(one["runs"] for one in planted)
    assert sum(one["first_or_not_told_from_the_first"] for one in planted) == runs
    low, high = (100 * edge / 2_000 for edge in stats.binom.interval(0.999, 2_000, 0.05))
    assert_said(
        f"{record['sizes']['n_runs']:,} samples each",
        f"{100 * min(x['rate'] for x in exact):.3g} % to {100 * max(x['rate'] for x in exact):.3g} % of samples;",
        f"fair ones is {low:.3g} % to {high:.3g} %",
        f"in at most {100 * max(x['rate'] for x in limits):.3g} %",
        f"each of {len(planted)} measures planted in turn",
        f"in all {runs:,} samples of 1e6",
    )


def test_which_complexity_machines_follow_is_what_was_measured():
    four, five = (measured("bits_explained")["numbers"][n]["machines"] for n in "45")
    verdicts = [
        machine[way]["no_measure_explains_more_than_circuit_size"]
        for machine in (*four.values(), *five.values())
        for way in ("functions", "NPN classes")
    ]
    assert all(test["adjusted_p_value"] < 1e-10 for test in verdicts)
    added = [machine["together"]["circuit size to entropy"] for machine in (*four.values(), *five.values())]
    assert all(test["low"] > 0 and test["p_value"] < 0.05 / len(added) for test in added)
    assert len(four) == len(five) == 11

    def share(machine, measure, digits=0):
        found = four[machine]["functions"]
        first = next(iter(found["measures"]))
        assert measure in ("circuit_size", first)
        return f"{100 * found['measures'][measure]['fraction']['value']:.{digits}f} %"

    sensitivity, circuits = (
        [share(f"ReLU, {layers}", measure) for layers in ("1 layer", "2 layers")]
        for measure in ("average_sensitivity", "circuit_size")
    )
    degree = [share(name, "threshold_degree") for name in ("perceptron", "tanh, 1 layer", "tanh, 2 layers")]
    assert_said(
        f"the {len(verdicts)} tests reject it with p < 1e-10",
        f"explains {sensitivity[0]} of KL(P || uniform) for one ReLU layer and {sensitivity[1]} for two",
        f"circuit size explains {' and '.join(circuits)};",
        f"threshold degree {degree[0]} for the perceptron, {degree[1]} and {degree[2]} for one and two layers of tanh",
        f"a code length, {share('ReLU, 10 layers', 'decision_tree_mixture', 1)} for ten ReLU layers",
    )


def test_bias_within_one_number_of_ones_is_what_was_measured():
    numbers = measured("stratified_bias")["numbers"]
    machines = ("perceptron", "ReLU, 1 layer", "ReLU, 2 layers", "ReLU, 4 layers", "tanh, 2 layers")
    assert set(machines) == set(numbers)
    for question in ("within T", "within T and orbit size"):
        assert all(numbers[name][question]["high"] < 0 for name in machines)
        assert all(numbers[name][question]["adjusted_p_value"] < 0.05 for name in machines)
    within, both = (
        [f"{numbers[name][question]['correlation']:.2f}" for name in machines]
        for question in ("within T", "within T and orbit size")
    )
    assert_said(
        f"{within[0]} for the perceptron, {within[1]} for one ReLU layer, {within[2]} for two, {within[3]} for four "
        f"and {within[4]} for two layers of tanh",
        f"orbit size {', '.join(both[:-1])} and {both[-1]} (",
    )


def test_what_tells_two_maps_apart_is_what_was_measured():
    itself, *others = measured("two_maps")["numbers"]["with_7-40-40-1_ReLU"].values()
    assert itself["same_prior"]["p_value_after_holm"] > 0.05
    assert all(other["same_prior"]["p_value_after_holm"] < 0.05 for other in others)
    at_least = [f"{other['orbits']['total_variation']['low']:.2g}" for other in others]
    alike = [f"{one['correlation_at_fixed_C_LZ']['effect']:.2f}" for one in (*others, itself)]
    assert_said(
        f"not told apart (p = {itself['same_prior']['p_value']:.2g})",
        f"over orbits, is at least {at_least[0]}, {at_least[1]} and {at_least[2]}.",
        f"a correlation of {min(alike[:-1])} to {max(alike[:-1])} where two seeds of one map have {alike[-1]}",
    )


def test_what_sweeps_show_is_what_was_measured():
    numbers = measured("sweeps")["numbers"]
    for varied in ("depth", "sigma_b"):
        assert all(
            found["monotone"]["mean_complexity"]["verdict"] == "at every step" for found in numbers[varied].values()
        )
        assert all(found["monotone"]["mean_complexity"]["asked"] == "falls" for found in numbers[varied].values())
    assert "10" in numbers["depth"]["σb = 1"]["maps"]
    deep = numbers["sigma_w"]["tanh, 10 layers"]["mean_C_LZ_halfway"]
    assert numbers["sigma_w"]["ReLU, 10 layers"]["mean_C_LZ_halfway"]["sigma_w_below"] is None
    assert_said(f"at a sigma_w between {deep['sigma_w_above']:g} and {deep['sigma_w_below']:g}; ReLU never does")


def test_what_each_machine_hates_is_what_was_measured():
    record = measured("blind_spots")["numbers"]
    first = record["ranking"]["first"][0]

    def bits(machine, function):
        found = record["panel"][machine]["functions"][function]
        return f"at least {found['bits_at_least']:.1f}" if found["is_bound"] else f"{found['bits']:.1f}"

    chaos = [bits(f"tanh, σw = 8, {layers}", "parity_4") for layers in ("1 layer", "2 layers", "10 layers")]
    assert_said(
        f"{bits('ReLU, 1 layer', 'parity_4')} for one ReLU layer of 16, {bits('ReLU, 2 layers', 'parity_4')} for two",
        f"{bits('GP, ReLU, 2 layers', 'parity_4')} for the Gaussian process of two",
        f"{bits('tanh, 1 layer', 'parity_4')} and {bits('tanh, 2 layers', 'parity_4')} for one and two layers of tanh",
        f"in chaos, {chaos[0]}, {chaos[1]} and, at ten layers, {chaos[2]}",
        f"parity of two, {bits('perceptron', 'parity_2')} bits below",
        f"or a multiplexer, {bits('perceptron', 'multiplexer_1')}",
        f"{first['formula'].removeprefix('f = ')} furthest below the a priori Levin bound, by {first['bits']:.1f} bits",
    )


def test_the_depth_of_the_rank_plot_is_what_was_measured():
    numbers = measured("deep_rank")["numbers"]
    effective, least = numbers["effective_samples"]["median"], min(numbers["P"])
    for claim in (
        f"{numbers['samples_to_judge']:,} networks",
        f"{numbers['functions'] / 1e9:.1f} billion functions",
        f"{effective / 1e9:.0f} billion independent networks",
        f"down to {least:.0e}]",
    ):
        assert claim in README, claim


def test_what_the_line_misses_is_what_was_measured():
    record = measured("whole_range")
    relu, chaotic = (record["numbers"][name] for name in ("ReLU", "tanh, 8"))
    off = relu["off"]["least_squares"]
    limits = [row["limit"] for row in chaotic["functions"] if "limit" in row]
    assert all(limit["converged"] for limit in limits)
    assert chaotic["line"] is None
    (unreached,) = (row for row in relu["functions"] if not row.get("split", {}).get("converged", True))
    assert (unreached["kind"], unreached["split"]["log2_low"]) == ("uniform", None)
    both = [
        row["split"]["log2_p"]
        for row in relu["functions"]
        if row.get("split", {}).get("converged") and row["limit"]["converged"]
    ]
    by_kind = {
        kind: np.mean([x for x, k in zip(off, relu["off"]["kind"], strict=True) if k == kind])
        for kind in ("prior", "circuit")
    }
    assert by_kind["circuit"] < by_kind["prior"] < 0
    assert len(off) == 7
    in_chaos = [row["split"] for row in chaotic["functions"] if "split" in row]
    floors = [split["log2_low"] for split in in_chaos if split["log2_low"] is not None]
    assert (len(in_chaos), chaotic["split"]["converged"], len(floors)) == (3, 0, 2)
    assert_said(
        f"Seven functions of a 7-40-40-1 ReLU network below 1e-8, down to 2^{relu['split']['rarest_log2_p']:.1f}, "
        f"lie {-max(off):.1f} to {-min(off):.1f} decades below",
        f"of each C_LZ up to {relu['line']['K_to']:.1f}",
        f"down to 2^{min(both):.0f}, splitting at width 40 and the limit differ by at most "
        f"{max(map(abs, relu['split']['bits_above_the_limit'])):.1f} bits",
        f"came three times among {record['sizes']['n_samples'] // 5:,} networks",
        f"between 2^{min(x['log2_p'] for x in limits):.1f} and 2^{max(x['log2_p'] for x in limits):.1f} at any",
        f"with floors of 2^{max(floors):.1f} and 2^{min(floors):.1f}",
    )


def test_what_pooled_orbits_resolve_is_what_was_measured():
    record = measured("orbits_by_decade")
    row = next(row for row in record["numbers"]["decades"] if row["from"] == "1e-10")
    scores, checked = record["numbers"]["agreement"].values(), record["numbers"]["by_splitting"]
    assert all(abs(one["rms"] - 1) < 0.1 for one in scores)
    assert all(checked["converged"])
    n, ends = len(checked["functions"]), (max(checked["log2_p_pooled"]), min(checked["log2_p_pooled"]))
    assert checked["intervals_that_meet"] == n == 10
    assert_said(
        f"Of {record['sizes']['n_samples']:,} independent networks one half picked {row['orbits']:,} orbits",
        f"{row['functions'] / 1e6:.0f} million functions; the other half knows "
        f"{100 * row['known_within_a_factor_of_2'] / row['orbits']:.0f} % of them",
        f"every orbit that {record['sizes']['smallest']:.0e} of them".replace("e-0", "e-"),
        f"rms of {min(one['rms'] for one in scores):.3f} to {max(one['rms'] for one in scores):.3f} (",
        f"from 2^{ends[0]:.0f} to 2^{ends[1]:.0f}, were",
    )


def test_what_counting_beyond_memory_costs_is_what_was_measured():
    record = measured("cost_against_n")
    (independent, its), (reused, cost) = (
        (record["numbers"][way][-1], record["run"]["measured"][way][-1]) for way in ("independent", "reuse")
    )
    rest, low, high = (100 * x for x in independent["unseen"])
    assert_said(
        f"Of {independent['n_samples']:,} independent networks drawn within",
        f"{independent['functions'] / 1e6:.0f} million functions, the {independent['at_least_twice']:,} that came at",
        f"all others hold {rest:.2f} % of P ({low:.2f} to {high:.2f} %), in {its['seconds'] / 60:.0f} minutes",
        f"{its['peak_gb']:.1f} GB of memory and {its['disk_gb']:.1f} GB of disk",
        f"Of {reused['n_samples']:,} drawn by reuse, {reused['functions'] / 1e9:.2f} billion functions",
        f"the {reused['at_least_twice']:,} that came at least twice, and all others hold "
        f"{100 * reused['unseen'][0]:.1f} %, in {cost['seconds'] / 60:.0f} minutes",
        f"{cost['peak_gb']:.1f} GB of memory and {cost['disk_gb']:.0f} GB of disk",
    )


def test_the_gains_of_reuse_are_the_benchmark_s():
    record = measured("reuse_gain")
    gains = record["run"]["measured"]["sigma_w = 1, sigma_b = 1"]["gains"]["G = 2, m = 32"]
    reuse, fixed, pooled, fixed_pooled = (
        f"{gains[way]['1e-5']:,.0f}" for way in ("reuse", "fixed set", "reuse, pooled", "fixed set, pooled")
    )
    assert_said(
        f"is worth {reuse} of plain sampling by reuse (functions that came twice listed), {fixed} where only a fixed",
        f"with orbits {pooled} and {fixed_pooled};",
        f"{gains['reuse']['1e-1']:.1f} to {gains['fixed set, pooled']['1e-1']:.0f} times",
    )


def test_the_speed_table_is_the_benchmark_s():
    for name, row in measured()["run"]["measured"]["networks"].items():
        line = (
            f"| {name} | {row['pfmap']:,.0f} | {row['over_baddbmm']:.1f} | {row['over_vmap']:.1f} "
            f"| {100 * row['of_roofline']:.0f} % |"
        )
        assert line in README


def test_the_other_speeds_are_the_benchmark_s():
    record = measured()["run"]["measured"]
    counting, whole = record["counting"], record["end_to_end"]
    for claim in (
        f"{counting['keys_per_second'] / 1e6:.0f} million keys a second",
        f"{100 * counting['of_sampling_time']:.1f} % of the time of sampling",
        f"{record['two_threads_over_one']:.2f} times one",
        f"{100 * whole['sampling_share']:.0f} % of the time is sampling",
        f"{whole['peak_gib']:.1f} GiB",
        f"{record['second_start_seconds']:.1f} s",
    ):
        assert claim in README, claim


def test_exactness_is_what_was_measured():
    numbers = measured()["numbers"]
    assert numbers["networks_that_differ"] == 0
    assert f"over {numbers['networks_compared_with_logits']:,} networks" in README


def test_the_rows_of_rare_truths_are_the_benchmark_s(experiment):
    record = measured("rare_truths")
    for row in experiment("rare_truths").readme_rows(record):
        assert row in README.splitlines(), row
    truths, direct = record["numbers"]["truths"].values(), record["numbers"]["3-16-1"]
    assert len(truths) == 7
    assert not any(truth["splitting"]["wrong"] for truth in truths)
    reseeded = [truth["splitting"] for truth in truths if truth["splitting"]["runs"] == 100]
    slow, *quick = sorted(reseeded, key=lambda one: -one["rms_error_bits"])
    rms, wide = (sorted(one[key] for one in quick) for key in ("rms_error_bits", "mean_width_bits"))
    said = " ".join(pfmap.estimate_rare.__doc__.split())
    assert f"rms {rms[0]:.2f} to {rms[-1]:.2f} bits over 100 runs each" in said
    assert f"where {sum(one['covered'] for one in quick)} of {100 * len(quick)} intervals of 95 %," in said
    assert f"{wide[0]:.2f} to {wide[-1]:.2f} bits wide, cover; {slow['rms_error_bits']:.2f} bits and" in said
    assert f"and {slow['covered']} of 100 at 2^-95.5" in said
    assert f"to {max(truth['tilting']['rms_error_bits'] for truth in truths):.3f} bits" in README
    assert f"{direct['networks_that_judge']:,} direct draws on {direct['intervals_that_meet']}." in README


def test_sums_over_all_functions_are_what_was_measured():
    numbers = measured("normalisation")["numbers"]
    net, process = numbers["network 3-16-1"], numbers["process of 4 inputs"]
    for one in (net["sum"]["splitting"], process["sum"]["splitting"]):
        assert one["low"] < 1 < one["high"]
        assert_said(f"to {one['value']:.3f} ± {one['high'] - one['value']:.3f}")
    found = process["agreement"]
    assert_said(
        f"all {process['functions']:,} of the Gaussian process of 4 inputs",
        f"of its {found['classes_converged']:,} classes that converged, down to 2^{found['least_log2_p']:.0f},",
        f"{found['intervals_that_meet']:,} have 95 % intervals that meet",
    )


@pytest.fixture
def speed(experiment):
    return experiment("complexity_speed")


def test_the_table_of_measures_is_what_they_say_of_themselves_and_what_was_measured(speed):
    record = measured("complexity_speed")
    unmeasured = set(speed.every_measure()) - set(record["run"]["measured"]["functions_per_second"])
    assert not unmeasured, "run experiments/complexity_speed.py, and put what its --rows prints into README.md"
    lines = [line for line in README.splitlines() if line.startswith("| `") and line.count("|") == 8]
    assert lines == speed.readme_rows(record["run"]["measured"])


def test_the_rivals_of_the_measures_are_the_benchmark_s(speed):
    record = measured("complexity_speed")
    assert_said(*speed.rival_rows(record["run"]["measured"]), *speed.claims(record))


def test_the_share_of_the_order_is_what_was_measured():
    share = measured("lz_over_orders")["numbers"]["share_of_variance_that_is_the_order"]["value"]
    assert f"the order in which the inputs stand: {100 * share:.0f} % of its variance" in README


def test_sources_in_the_table_are_the_docstrings(speed):
    measures = [m for m in vars(complexity).values() if isinstance(m, complexity.ComplexityMeasure)]
    for measure in (m for m in measures if not isinstance(m, type)):
        shown, said = speed.source(measure), " ".join(measure.__doc__.split("Source:")[1].split())
        assert len(shown) < 50
        assert all(part in said for part in shown.replace(" et al.", "").rsplit(" ", 1)), (shown, said)


def test_the_share_of_exact_circuits_is_that_of_the_table():
    _, bounds, _ = read_tables()
    exact = np.mean(bounds & 15 == bounds >> 4)
    assert f"for {100 * exact:.0f} % of the {len(bounds):,} classes of functions of five inputs" in README


@pytest.mark.parametrize("path", re.findall(r"\]\((figures/[^)]+)\)", README))
def test_pictures_are_there(path):
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("script", re.findall(r"^\| `(\w+\.py)` \|", README, re.MULTILINE))
def test_every_experiment_in_the_readme_has_its_figure_and_numbers(script):
    stem = (ROOT / "experiments" / script).stem
    assert (ROOT / "experiments" / script).is_file()
    assert (ROOT / "figures" / f"{stem}.png").is_file()
    assert (ROOT / "figures" / f"{stem}.json").is_file()


def test_ci_runs_the_test_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    command = re.search(r"<!-- tests -->\n```sh\n(.*?)```", README, re.DOTALL)[1]
    assert command.strip().endswith("-m pytest")
    assert "<!-- tests -->" in script
