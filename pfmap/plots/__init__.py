"""Pictures of results, sized for one column of print (3.4 inches): results in, matplotlib Axes out.

Nothing is estimated here. The one thing to know: where one function stands for many, it is the first of them in the
order of `prior.tables`; take that order from one half of the sample and the probabilities from the other.
"""

from pfmap.plots.blind_spots import blind_spots, contrast
from pfmap.plots.circuits import circuit
from pfmap.plots.comparisons import prior_against_prior, sweep
from pfmap.plots.explained import bits_explained
from pfmap.plots.priors import MANY, prior_against_complexity, rank
from pfmap.plots.style import WIDTH, column_axes, save

__all__ = [
    "MANY",
    "WIDTH",
    "bits_explained",
    "blind_spots",
    "circuit",
    "column_axes",
    "contrast",
    "prior_against_complexity",
    "prior_against_prior",
    "rank",
    "save",
    "sweep",
]
