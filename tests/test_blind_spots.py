"""Tests of blind spots: exact small cases, planted laws, and that what is simple is listed and measured whole."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from pfmap import (
    Cube,
    FunctionCounts,
    InvalidInput,
    LevinBound,
    Points,
    TruthTables,
    a_priori_levin_bound,
    best_law,
    blind_spots,
    canonicalize,
    complexity,
    concatenate,
    draw,
    estimate_functions,
    estimate_prior,
    estimate_rare,
    families,
    maps,
    random_circuits,
    simple_functions,
)
from pfmap.prior import upper_limit
from pfmap.rare import any_depth, orthant_probability
from tests.statistics import LEVEL

SURE = 1 - LEVEL / 4
FEW = {"particles": 50, "max_moves": 16}
EVERY = TruthTables.from_ints(range(256), 3)
K = complexity.circuit_size(EVERY)
PARITY = canonicalize(EVERY).representatives.positions_in(canonicalize(families.parity(3)).representatives) == 0


def planted(rng, a, *, depressed=None, by=0.0, n_samples=1_000_000):
    """P = 2^(-a K - b) but for the depressed functions, and its line; all functions judged by a sample."""
    p = 2.0 ** (-a * K)
    b = math.log2(p.sum())
    if depressed is not None:
        p = np.where(depressed, p * 2.0**-by, p)
    counts = rng.multinomial(n_samples, p / p.sum())
    counts = FunctionCounts.from_unordered(EVERY, counts, n_samples=n_samples, at_least=0)
    prior = estimate_prior(counts, at=EVERY, confidence=SURE, simultaneous=True)
    return prior, LevinBound(a, b, a, a, b, b, 1.0, "a priori"), np.log2(p / p.sum())


class TestPerceptron:
    """n = 2, inputs ±1: P = 0.1081734 of constants and dictators, 0.0438699 of AND and OR, 0 of XOR."""

    NET = maps.Perceptron(2, sigma_w=math.sqrt(2), sigma_b=1.0, inputs="pm1")
    TABLES = TruthTables.from_ints(range(16), 2)
    BOUND = a_priori_levin_bound(Cube(2), 1)
    OPTIONS = {"confidence": SURE, "simultaneous": True, **FEW}  # noqa: RUF012

    @pytest.fixture
    def truth(self):
        easy, hard = math.acos(-1 / 3) / math.pi - 1 / 2, 0.0438699
        return np.array([{0: easy, 1: hard, 2: easy}[min(t, 4 - t)] for t in self.TABLES.hamming_weight()])

    def test_xor_is_the_blind_spot(self, seed, truth):
        """All 16 deficits lie in their intervals, at 1e-6."""
        estimate = estimate_functions(self.NET, self.TABLES, 200_000, seed=seed, **self.OPTIONS)
        found = blind_spots(estimate, complexity.circuit_size(self.TABLES), self.BOUND)
        assert set(found.tables.strings()[:2]) == {"0110", "1001"}
        assert found.is_bound.tolist() == [True] * 2 + [False] * 14
        assert np.all(found.deficit[:2] == np.inf)
        assert np.all(found.deficit_low[:2] > 10)
        known = found.tables.positions_in(self.TABLES)[2:]
        deficits = -4 * complexity.circuit_size(self.TABLES)[known] - np.log2(truth[known])
        assert np.all((found.deficit_low[2:] <= deficits) & (deficits <= found.deficit_high[2:]))
        assert not np.any((found.deficit_low[2:] <= deficits + 0.5) & (deficits + 0.5 <= found.deficit_high[2:]))
        assert found.npn_sizes[:2].tolist() == [2, 2]
        assert "no particle ever reached it" in found.verdicts[0]
        assert "< -" in str(found).splitlines()[2]

    def test_a_probability_of_exactly_zero_is_no_bound(self, seed):
        gp = maps.GaussianProcess(2, 0, "linear", sigma_b=1.0, inputs="pm1")
        found = blind_spots(orthant_probability(gp, families.parity(2), seed=seed), [1.0], self.BOUND)
        assert found.deficit_low[0] == np.inf
        assert not found.is_bound[0]


class TestPlantedLaws:
    def test_a_class_six_bits_too_rare_comes_first(self, rng):
        """Every deficit lies in its interval, and only parity's are surely positive, at 1e-6."""
        prior, line, log2_p = planted(rng, 0.8, depressed=PARITY, by=6.0)
        found = blind_spots(prior, K, line)
        assert set(found.tables.strings()[:2]) == set(EVERY[PARITY].strings())
        truth = line.log2_p(found.complexity) - log2_p[found.tables.positions_in(EVERY)]
        assert np.all((found.deficit_low <= truth) & (truth <= found.deficit_high))
        assert np.count_nonzero(found.deficit_low > 0) == 2
        assert [test.is_rejected for test in found.tests()] == [True] * 2 + [False] * 254
        assert not any(test.is_rejected for test in found.tests(margin=6.0))

    def test_ranked_by_what_is_sure(self):
        """Frequencies without error. The planted fault: by P alone, functions that never came would stand first."""
        p = 2.0 ** (-3.0 * K)
        b = math.log2(p.sum())
        counts = np.where(K == 4, 0, np.rint(150_000 * np.where(PARITY, p / 8, p) / p.sum()).astype(int))
        prior = estimate_prior(FunctionCounts.from_unordered(EVERY, counts, at_least=0), at=EVERY, simultaneous=True)
        found = blind_spots(prior, K, LevinBound(3.0, b, 3.0, 3.0, b, b, 1.0, "a priori"))
        assert set(found.tables.strings()[:2]) == set(EVERY[PARITY].strings())
        assert np.all(np.diff(found.deficit_low) <= 0)
        assert not found.is_bound[:2].any()
        assert np.isposinf(found.deficit[2:]).sum() == 24

    def test_a_law_on_the_line_has_none(self, rng):
        prior, line, _ = planted(rng, 0.8)
        found = blind_spots(prior, K, line)
        assert not np.any(found.deficit_low > 0)
        assert np.all(found.deficit_high >= 0)
        assert not any(test.is_rejected for test in found.tests())
        assert any(test.is_rejected for test in blind_spots(prior, K, replace(line, b=line.b - 0.5)).tests())

    def test_the_best_law_is_the_planted_one(self, rng):
        p = 2.0 ** (-0.8 * K)
        counts = FunctionCounts.from_unordered(EVERY, rng.multinomial(200_000, p / p.sum()))
        law = best_law(counts, complexity.circuit_size, confidence=SURE)
        assert law.a_low < 0.8 < law.a_high < 0.85
        assert law.b_low < math.log2(p.sum()) < law.b_high
        assert np.exp2(law.log2_p(K)).sum() == pytest.approx(1)


class TestEstimateFunctions:
    NET = maps.MLP(3, (8,))
    TABLES = concatenate([families.parity(3, 1), families.parity(3, 2), families.exactly(3, 1), families.majority(3)])

    def test_samples_and_splitting_agree(self, seed):
        """Intervals of either way meet at 1e-6, and one shifted by 3 bits is noticed."""
        options = {"seed": seed, "confidence": SURE, "simultaneous": True}
        sampled = estimate_functions(self.NET, self.TABLES, 3_000_000, enough=1, **options)
        split = estimate_rare(self.NET, self.TABLES, seed=seed, confidence=sampled.confidence)
        assert sampled.converged.all()
        assert split.converged.all()
        meet = (sampled.log2_low <= split.log2_high) & (split.log2_low <= sampled.log2_high)
        assert meet.all()
        both = estimate_functions(self.NET, self.TABLES, 3_000_000, enough=10**9, **options)
        assert np.all(both.log2_high - both.log2_low <= split.log2_high - split.log2_low + 1)
        assert np.all((both.log2_low <= both.log2_p) & (both.log2_p <= both.log2_high))
        assert both.converged.all()

    def test_a_contradiction_is_said_and_leaves_the_samples(self, seed, monkeypatch):
        def wrong(*arguments, **options):
            estimate = estimate_rare(*arguments, **options)
            moved = {name: getattr(estimate, name) + 5 for name in ("log2_p", "log2_low", "log2_high", "log2_floor")}
            return replace(estimate, **moved)

        options = {"seed": seed, "confidence": SURE, "enough": 10**9}
        right = estimate_functions(self.NET, self.TABLES[:1], 200_000, **options)
        monkeypatch.setattr(any_depth, "estimate_rare", wrong)
        found = estimate_functions(self.NET, self.TABLES[:1], 200_000, **options)
        assert right.converged[0]
        assert not found.converged[0]
        assert "samples contradict splitting" in found.verdicts[0]
        assert found.log2_low[0] <= right.log2_low[0] < right.log2_p[0] < found.log2_high[0] < right.log2_p[0] + 1
        assert found.caveat.startswith("1 of 1")

    def test_what_never_came_has_the_bound_of_all_samples(self):
        net = maps.Perceptron(2, sigma_b=1.0)
        found = estimate_functions(net, families.parity(2), 1_000_000, confidence=0.9, **FEW)
        assert found.log2_p[0] == -np.inf
        assert found.log2_high[0] == upper_limit(np.array([0]), 1_000_000, 0.025)[0] - 1  # an orbit of two

    def test_an_orbit_is_measured_once(self, monkeypatch):
        asked = []

        def counted(pfm, tables, **options):
            asked.extend(tables.strings())
            return estimate_rare(pfm, tables, **options)

        monkeypatch.setattr(any_depth, "estimate_rare", counted)
        orders = [families.parity(3, 2).permute_inputs(order) for order in ([0, 1, 2], [2, 1, 0], [0, 2, 1])]
        found = estimate_functions(self.NET, concatenate([*orders, orders[0].complement()]), 1_000)
        assert len(asked) == 1
        assert len(set(found.log2_p)) == 1
        assert len(found) == 4

    def test_goes_on_from_its_folder(self, tmp_path, monkeypatch):
        first = estimate_functions(self.NET, self.TABLES, 100_000, out=tmp_path)
        kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "splitting").glob("function-*")}
        assert len(kept) >= 1
        second = estimate_functions(self.NET, self.TABLES, 100_000, out=tmp_path)
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "splitting").glob("function-*")} == kept
        for name in ("log2_p", "log2_low", "log2_high", "converged"):
            assert np.array_equal(getattr(first, name), getattr(second, name))

    def test_maps_without_symmetry_or_cube(self):
        import torch

        sign = maps.LatentFunction("sign", Points(2), 1, lambda z: z * torch.tensor([[-1.0, 1.0]]))
        tables = TruthTables.from_strings(["01", "11"], Points(2))
        found = estimate_functions(sign, tables, 10_000, enough=1_000)
        assert found.log2_p[0] == pytest.approx(-1, abs=0.1)
        listed = blind_spots(estimate_prior(draw(sign, 1_000), at=tables), [0.0, 1.0], a_priori_levin_bound(tables, 1))
        assert listed.npn_sizes is None
        assert listed.formula(0) == ""
        assert "11" in str(listed)

    @pytest.mark.parametrize(
        ("tables", "options"),
        [
            (TruthTables.from_strings([], Cube(3)), {}),
            (["0110"], {}),
            (families.parity(2), {}),
            (families.parity(3), {"confidence": 1}),
            (families.parity(3), {"enough": 0}),
            (families.parity(3), {"n_samples": 0}),
        ],
    )
    def test_bad_input_is_refused(self, tables, options):
        with pytest.raises(InvalidInput, match=r"it needs|list at least|lies between|lives on"):
            estimate_functions(self.NET, tables, **options)


class TestCandidates:
    @pytest.mark.parametrize("n", [2, 3, 4, 5])
    def test_all_functions_of_two_gates(self, n):
        """Composed here gate by gate; a search that forgot negated inputs or shared gates would list fewer."""
        everything = (1 << (1 << n)) - 1
        inputs = [sum(1 << j for j in range(1 << n) if j >> i & 1) for i in range(n)]

        def gates(f, g):
            cells = (f & g, f & ~g & everything, ~f & g & everything, ~(f | g) & everything)
            return {sum(c for c, on in zip(cells, choice, strict=True) if on) for choice in product((0, 1), repeat=4)}

        one = {h for f in inputs for g in inputs for h in gates(f, g)}
        two = {h for f in one for g in [*inputs, f] for h in gates(f, g)}
        assert set(simple_functions(n, 1, group=()).ints()) == one
        assert set(simple_functions(n, 2, group=()).ints()) == two
        for group in ({"input_permutations", "complement"}, {"input_flips"}, {"reversal", "input_permutations"}):
            found = simple_functions(n, 2, group=group)
            canonical = canonicalize(TruthTables.from_ints(two, n), group=group).representatives
            assert set(found.ints()) == set(canonical.ints())
            assert len(found) == len(set(canonical.ints()))

    def test_simplest_first(self):
        size = complexity.circuit_size(simple_functions(4, 4))
        assert np.all(np.diff(size) >= 0)
        assert size.max() == 4

    def test_random_circuits_have_as_many_gates_at_most(self):
        found = random_circuits(4, 3, 2_000, seed=3)
        size = complexity.circuit_size(found)
        assert size.max() == 3
        assert len(set(found.ints())) == len(found) > 300
        assert set(random_circuits(2, 1, 2_000).ints()) == {1, 2, 4, 6, 7, 8, 9, 11, 13, 14}
        assert random_circuits(4, 3, 50, seed=3) != random_circuits(4, 3, 50, seed=4)

    @pytest.mark.parametrize(
        "call",
        [
            lambda: simple_functions(6, 2),
            lambda: simple_functions(3, -1),
            lambda: simple_functions(3, 1, group={"order"}),
            lambda: random_circuits(1, 1, 1),
            lambda: random_circuits(3, 0, 1),
            lambda: random_circuits(3, 1, 1.5),
        ],
    )
    def test_bad_input_is_refused(self, call):
        with pytest.raises(InvalidInput, match=r"it needs|at most|at least"):
            call()


class TestBlindSpots:
    @pytest.fixture
    def found(self, rng):
        prior, line, _ = planted(rng, 0.8)
        return blind_spots(prior, K, line)

    @pytest.mark.parametrize("tables", [EVERY[::17], families.majority(5), families.threshold(5, 0)])
    def test_formulas_compute_their_functions(self, tables):
        counts = FunctionCounts.from_unordered(tables, np.full(len(tables), 1_000))
        prior = estimate_prior(counts, at=tables, simultaneous=True)
        listed = blind_spots(prior, np.zeros(len(tables)), a_priori_levin_bound(tables, 1))
        points = tables.domain.points()
        for i, table in enumerate(listed.tables.bits()):
            names = {f"x{j}": points[:, j].astype(int) for j in range(points.shape[1])}
            for line in listed.formula(i).splitlines():
                name, formula = line.split(" = ")
                names[name] = eval(formula, {}, names) & 1
            assert np.array_equal(np.broadcast_to(names["f"], len(table)), table)

    def test_reads(self, found):
        assert "0 of 256 functions surely below the line" in repr(found)
        lines = str(found).splitlines()
        assert lines[0].startswith("0 of 256 functions surely lie below log2 P = -0.8 K")
        assert len(lines) == 12
        sentence = str(found.tests()[0])
        assert "lies at most 0 bits below the line is not rejected (p = 1, 1 after Holm" in sentence

    def test_pointwise_intervals_share_their_error(self, rng):
        prior, line, _ = planted(rng, 0.8)
        found = blind_spots(replace(prior, simultaneous=False, confidence=1 - 1e-4), K, line)
        assert found.confidence == pytest.approx(1 - 256e-4)
        assert found.tests()[0].confidence == found.confidence
        with pytest.raises(InvalidInput, match="say nothing of all at once"):
            blind_spots(replace(prior, simultaneous=False, confidence=0.95), K, line)

    def test_the_caveat_of_the_estimate_is_kept(self, rng):
        prior, line, _ = planted(rng, 0.8)
        found = blind_spots(replace(prior, caveat="Doubtful."), K, line)
        assert found.caveat == found.tests()[0].caveat == "Doubtful."
        assert str(found).endswith("note: Doubtful.")

    def test_bad_input_is_refused(self, rng, found):
        prior, line, _ = planted(rng, 0.8)
        partial = estimate_rare(maps.Perceptron(2), families.parity(2), where=[True, True, False, False])
        for call in (
            lambda: blind_spots(prior, K[:5], line),
            lambda: blind_spots(prior, np.full(256, np.nan), line),
            lambda: blind_spots(partial, [1.0], line),
            lambda: found.tests(margin=math.inf),
            lambda: best_law(draw(maps.MLP(7, (3,)), 100), complexity.lempel_ziv),
        ):
            with pytest.raises(InvalidInput, match=r"need|partial tables|is not known"):
                call()
