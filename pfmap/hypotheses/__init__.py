"""Claims about P(f) and K(f), tested: one file a claim.

Comes in: estimates and counts. Goes out: HypothesisTest, which prints as one sentence. The one thing to know: P must be
judged by samples that did not pick the functions, and tests of a family are corrected together (`correct_family`).
"""

from pfmap.hypotheses.added_complexity import added_complexity_test
from pfmap.hypotheses.blind_spots import BlindSpots, best_law, blind_spots
from pfmap.hypotheses.candidates import random_circuits, simple_functions
from pfmap.hypotheses.divergences import Divergences, estimate_divergences
from pfmap.hypotheses.entropy import estimate_entropy
from pfmap.hypotheses.estimates import Estimate
from pfmap.hypotheses.levin_bound import levin_bound_test, levin_line_tests, levin_slope_test
from pfmap.hypotheses.result import HypothesisTest, correct_family
from pfmap.hypotheses.simplicity_bias import simplicity_bias_test
from pfmap.hypotheses.sweep import PriorSummary, Sweep, summarize_prior, sweep
from pfmap.hypotheses.two_maps import correlation_at_fixed_complexity_test, paired_priors, same_prior_test
from pfmap.hypotheses.which_complexity import ComplexityComparison, which_complexity

__all__ = [
    "BlindSpots",
    "ComplexityComparison",
    "Divergences",
    "Estimate",
    "HypothesisTest",
    "PriorSummary",
    "Sweep",
    "added_complexity_test",
    "best_law",
    "blind_spots",
    "correct_family",
    "correlation_at_fixed_complexity_test",
    "estimate_divergences",
    "estimate_entropy",
    "levin_bound_test",
    "levin_line_tests",
    "levin_slope_test",
    "paired_priors",
    "random_circuits",
    "same_prior_test",
    "simple_functions",
    "simplicity_bias_test",
    "summarize_prior",
    "sweep",
    "which_complexity",
]
