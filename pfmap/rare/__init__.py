"""Rare functions: P(f) where sampling sees nothing, by multilevel splitting in the space of latents.

Functions of any map in latent form go in; log2 P with an interval, and what it rests on, comes out. The one thing to
know: the estimate is unbiased and its lower bound holds whatever the walks do, but an interval needs them to mix;
`converged` and `verdicts` say where they were seen not to, and there the interval is the one that needs no mixing.
Of a Gaussian process, `orthant_probability` measures the same by minimax tilting, without walks. Of common and rare
functions together, `estimate_functions` samples what it can and splits the rest.
"""

from pfmap.rare.any_depth import estimate_functions
from pfmap.rare.estimate import estimate_rare
from pfmap.rare.orthant import OrthantEstimate, expectation_propagation, orthant_probability
from pfmap.rare.result import RareEstimate

__all__ = [
    "OrthantEstimate",
    "RareEstimate",
    "estimate_functions",
    "estimate_rare",
    "expectation_propagation",
    "orthant_probability",
]
