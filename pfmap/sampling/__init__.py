"""Drawing samples of a map: seed and number in, FunctionCounts out.

The one thing to know: sample i is a pure function of (seed, i), so how the work is cut changes nothing.
"""

from pfmap.sampling.draw import draw
from pfmap.sampling.reuse import Reuse

__all__ = ["Reuse", "draw"]
