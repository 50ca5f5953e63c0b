"""The tables of circuit sizes that ship with pfmap, built by experiments/circuit_tables.py.

data/circuit_sizes.zst is a Zstandard frame with a checksum. It holds, for the NPN classes of functions of at most five
inputs in ascending order of their canonical tables (`symmetry.canonicalize`): the differences of these tables as
uint32, byte by byte (all lowest bytes first), and what is proven of their sizes, 16 * high + low as uint8, where high
is attained by a circuit and no circuit is below low. Then, for each function of four inputs by its table as a number,
the size of the smallest circuit of AND and OR gates as uint8.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import zstandard
from numpy.typing import NDArray

from pfmap.errors import CorruptStore
from pfmap.kernels.canonical import canonical_tables
from pfmap.kernels.class_lookup import look_up, lookup_table

PATH = Path(__file__).parent / "data" / "circuit_sizes.zst"
N_CLASSES = 616_126
_OF_FOUR_INPUTS = 1 << 16
_UNPACKED = 5 * N_CLASSES + _OF_FOUR_INPUTS
_MISSING = 255


def write_tables(
    classes: NDArray[np.uint32], bounds: NDArray[np.uint8], and_or_sizes: NDArray[np.uint8], path: Path = PATH
) -> None:
    """Write the file: canonical tables of five inputs, ascending, bounds, and sizes of functions of four inputs."""
    steps = np.diff(classes, prepend=np.uint32(0)).astype("<u4")
    raw = steps.view(np.uint8).reshape(-1, 4).T.tobytes() + bounds.tobytes() + and_or_sizes.tobytes()
    path.write_bytes(zstandard.ZstdCompressor(level=19, write_checksum=True).compress(raw))


@cache
def read_tables(path: Path = PATH) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint8]]:
    """What `write_tables` wrote.

    Raises:
        CorruptStore: the file is missing or damaged.
    """
    try:
        raw = zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=_UNPACKED)
        if len(raw) != _UNPACKED:
            raise ValueError(f"{len(raw)} bytes instead of {_UNPACKED}")
    except (OSError, ValueError, zstandard.ZstdError) as error:
        raise CorruptStore(
            f"{path}, pfmap's table of circuit sizes, cannot be read: {error}; reinstall pfmap, or build it "
            "anew with experiments/circuit_tables.py"
        ) from error
    unpacked = np.frombuffer(raw, np.uint8)
    planes = unpacked[: 4 * N_CLASSES].reshape(4, N_CLASSES)
    steps = np.ascontiguousarray(planes.T).view("<u4")[:, 0]
    classes = np.cumsum(steps, dtype=np.uint32)
    return classes, unpacked[4 * N_CLASSES : 5 * N_CLASSES], unpacked[5 * N_CLASSES :]


@cache
def _bounds_by_class() -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    classes, bounds, _ = read_tables()
    return lookup_table(classes, bounds)


def bounds_of_five_inputs(words: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What the circuit size of functions of five inputs lies between, each the low 32 bits of a word: int64[size] each.

    Raises:
        CorruptStore: the file is damaged, or belongs to another version of pfmap.
    """
    canonical, _ = canonical_tables(words[:, None], 5, permutations=True, flips=True, reversal=False, complement=True)
    bounds = look_up(canonical[:, 0], *_bounds_by_class(), _MISSING)
    if np.any(bounds == _MISSING):
        raise CorruptStore(f"{PATH} was built for other canonical tables than those of this pfmap; reinstall pfmap")
    return (bounds & 15).astype(np.int64), (bounds >> 4).astype(np.int64)
