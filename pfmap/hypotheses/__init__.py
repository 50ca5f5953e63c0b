"""Claims about P(f) and K(f), tested: one file a claim.

Comes in: estimates and counts. Goes out: HypothesisTest, which prints as one sentence. The one thing to know: P must be
judged by samples that did not pick the functions, and tests of a family are corrected together (`correct_family`).
"""

from pfmap.hypotheses.added_complexity import added_complexity_test
from pfmap.hypotheses.levin_bound import levin_bound_test, levin_line_tests, levin_slope_test
from pfmap.hypotheses.result import HypothesisTest, correct_family
from pfmap.hypotheses.simplicity_bias import simplicity_bias_test
from pfmap.hypotheses.which_complexity import ComplexityComparison, which_complexity

__all__ = [
    "ComplexityComparison",
    "HypothesisTest",
    "added_complexity_test",
    "correct_family",
    "levin_bound_test",
    "levin_line_tests",
    "levin_slope_test",
    "simplicity_bias_test",
    "which_complexity",
]
