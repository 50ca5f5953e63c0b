"""What was observed: how often each function came. Counts hold no probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pfmap.tables import TruthTables


@dataclass(frozen=True, eq=False)
class FunctionCounts:
    """Distinct functions of a sample, most frequent first; ties in the order of their keys.

    Attributes:
        tables: the distinct functions.
        counts: int64[size], how often each came; at least 1.
        n_samples: samples drawn; the sum of counts.
        provenance: JSON types; "map" is the map's spec, "draws" the list of samples that are in here.
    """

    tables: TruthTables
    counts: NDArray[np.int64]
    n_samples: int
    provenance: Mapping[str, Any]
