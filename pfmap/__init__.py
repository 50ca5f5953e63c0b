"""pfmap: the prior over Boolean functions of randomly initialised networks, measured against their complexity.

A parameter-function map turns standard normals z into a truth table. `draw` samples z and counts functions,
`estimate_prior` infers P(f) with intervals, `estimate_rare` does where sampling sees nothing, `complexity` bounds K(f),
`fit_levin_bound` puts a line over the two, `blind_spots` finds what lies far below it, and `plots` (not imported here,
so that matplotlib waits until it is asked for) draws them.
"""

from pfmap import complexity, families, maps
from pfmap.bounds import Exceedance, LevinBound, a_priori_levin_bound, above, fit_levin_bound
from pfmap.complexity_prior import ComplexityPrior, estimate_complexity_prior
from pfmap.counts import FunctionCounts, Totals
from pfmap.errors import CorruptStore, IncompatibleTables, InvalidInput, PfmapError, StoreError, TooFewSamples
from pfmap.hypotheses import (
    BlindSpots,
    ComplexityComparison,
    Divergences,
    Estimate,
    HypothesisTest,
    PriorSummary,
    Sweep,
    added_complexity_test,
    best_law,
    blind_spots,
    correct_family,
    correlation_at_fixed_complexity_test,
    estimate_divergences,
    estimate_entropy,
    levin_bound_test,
    levin_line_tests,
    levin_slope_test,
    paired_priors,
    random_circuits,
    same_prior_test,
    simple_functions,
    simplicity_bias_test,
    summarize_prior,
    sweep,
    which_complexity,
)
from pfmap.invariance import InvarianceTest, invariance_test
from pfmap.prior import PriorEstimate, UnseenMass, estimate_prior, estimate_unseen
from pfmap.rare import OrthantEstimate, RareEstimate, estimate_functions, estimate_rare, orthant_probability
from pfmap.sampling import Reuse, draw
from pfmap.store import load_counts, save_counts
from pfmap.symmetry import CanonicalTables, canonicalize
from pfmap.tables import Cube, Points, TruthTables, concatenate

__all__ = [
    "BlindSpots",
    "CanonicalTables",
    "ComplexityComparison",
    "ComplexityPrior",
    "CorruptStore",
    "Cube",
    "Divergences",
    "Estimate",
    "Exceedance",
    "FunctionCounts",
    "HypothesisTest",
    "IncompatibleTables",
    "InvalidInput",
    "InvarianceTest",
    "LevinBound",
    "OrthantEstimate",
    "PfmapError",
    "Points",
    "PriorEstimate",
    "PriorSummary",
    "RareEstimate",
    "Reuse",
    "StoreError",
    "Sweep",
    "TooFewSamples",
    "Totals",
    "TruthTables",
    "UnseenMass",
    "a_priori_levin_bound",
    "above",
    "added_complexity_test",
    "best_law",
    "blind_spots",
    "canonicalize",
    "complexity",
    "concatenate",
    "correct_family",
    "correlation_at_fixed_complexity_test",
    "draw",
    "estimate_complexity_prior",
    "estimate_divergences",
    "estimate_entropy",
    "estimate_functions",
    "estimate_prior",
    "estimate_rare",
    "estimate_unseen",
    "families",
    "fit_levin_bound",
    "invariance_test",
    "levin_bound_test",
    "levin_line_tests",
    "levin_slope_test",
    "load_counts",
    "maps",
    "orthant_probability",
    "paired_priors",
    "random_circuits",
    "same_prior_test",
    "save_counts",
    "simple_functions",
    "simplicity_bias_test",
    "summarize_prior",
    "sweep",
    "which_complexity",
]
