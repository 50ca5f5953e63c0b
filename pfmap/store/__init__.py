"""Everything pfmap keeps on disk: tables of functions as Parquet files, and the folder of a draw that can be resumed.

A table has the columns word_0 … word_{W-1} (uint64; bit j % 64 of word j // 64 is entry j of the truth table), count
(int64) and one a complexity measure (float64), most frequent function first; pandas, polars and DuckDB open it as it
is. Its key-value metadata holds the rest: domain, n_samples, provenance, a digest of these and the counts; and for each
measure its unit, whether it is a code length, the version of pfmap and a digest.

A run folder holds run.json (what is being drawn), one checksummed file a finished block, and in the end counts.parquet.
The one thing to know: a name on disk appears with its whole content or not at all; a kill loses only what is in flight.
"""

from pfmap.store.blocks import write_block
from pfmap.store.files import COUNTS_FILE, LOCK_FILE, RUN_FILE, temporary_beside
from pfmap.store.folder import RunFolder, half_of_free_memory
from pfmap.store.table import (
    StoredMeasure,
    iterate_counts,
    load_complexity,
    load_counts,
    save_complexity,
    save_counts,
    stored_measures,
)

__all__ = [
    "COUNTS_FILE",
    "LOCK_FILE",
    "RUN_FILE",
    "RunFolder",
    "StoredMeasure",
    "half_of_free_memory",
    "iterate_counts",
    "load_complexity",
    "load_counts",
    "save_complexity",
    "save_counts",
    "stored_measures",
    "temporary_beside",
    "write_block",
]
