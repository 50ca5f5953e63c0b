"""The calibration of the tests at a tiny size: it runs, repeats itself and bounds its own rates."""

import pytest


@pytest.fixture
def calibration(experiment):
    return experiment("hypotheses_calibration")


def test_it_repeats_itself_and_every_rate_lies_in_its_interval(calibration, seed):
    sizes = {"n_runs": 2, "n_two_maps": 1, "n_power": 1, "n_samples": 2_000, "n_bound_samples": 100_000}
    planted = {"n_planted": 0, "n_planted_samples": 1_000}
    one, two = (calibration.main(seed, **sizes, **planted)[1] for _ in range(2))
    assert one == two
    assert set(one["level"]) == set(one["power"]) == set(calibration.NULLS)
    for name, laws in calibration.NULLS.items():
        assert set(one["level"][name]) == set(laws)
        assert set(one["power"][name]) == {str(a) for a in calibration.STRENGTHS}
        for rate in (*one["level"][name].values(), *one["power"][name].values()):
            assert 0 <= rate["low"] <= rate["rate"] <= rate["high"] <= 1
    assert one["planted_measure"]["lempel_ziv"]["runs"] == 0


def test_a_rate_off_its_nominal_value_is_marked(calibration):
    """Law: Binomial(2000, 0.05) lies within 69 … 133 in 99.9 % of experiments."""
    for k, exact, limit in ((68, False, True), (69, True, True), (133, True, True), (134, False, False)):
        found = calibration.rate(k, 2_000)
        assert calibration.against_the_nominal(found, calibration.NOMINAL)["is_within"] == exact
        assert calibration.against_the_nominal(found, calibration.AT_MOST)["is_within"] == limit


def test_the_measures_swapped_are_one_measure_on_swapped_functions(calibration):
    lz, backward = (measure(calibration.EVERY) for measure in calibration.PAIR)
    assert (lz[calibration.BACKWARD] == backward).all()
    assert (lz != backward).any()
