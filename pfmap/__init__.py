"""pfmap: the prior over Boolean functions of randomly initialised networks, measured against their complexity."""

from pfmap import maps
from pfmap.counts import FunctionCounts
from pfmap.errors import CorruptStore, IncompatibleTables, InvalidInput, PfmapError, StoreError, TooFewSamples
from pfmap.sampling import draw
from pfmap.tables import Cube, Points, TruthTables

__all__ = [
    "CorruptStore",
    "Cube",
    "FunctionCounts",
    "IncompatibleTables",
    "InvalidInput",
    "PfmapError",
    "Points",
    "StoreError",
    "TooFewSamples",
    "TruthTables",
    "draw",
    "maps",
]
