"""Truth tables on a device: bits packed into words, equal rows counted, before anything is sent to the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15


def pack(bits: Tensor) -> Tensor:
    """bool[..., m] to int64[..., ceil(m / 64)], the bits of TruthTables.words: bit j % 64 of word j // 64 is entry j.

    Cost: a few passes over m bytes a row.
    """
    import torch

    eights = torch.nn.functional.pad(bits, (0, -bits.shape[-1] % 64)).view(torch.int64)
    # Byte i of eight, 0 or 1, times 2^(56 - 7 i) is bit i of the top byte; no other product reaches or carries into it.
    return (eights * sum(1 << 56 - 7 * i for i in range(8)) >> 56).to(torch.uint8).view(torch.int64)


def count_rows(rows: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
    """Distinct rows of int64[k, width] and how often each came, or the sums of values int64[k] over its repeats.

    Equal rows meet by a hash, or where different rows share one by every word, so the result is exact.

    Error: exact. Cost: one sort, one gather of the rows and a few passes.
    """
    import torch

    order = torch.sort(_hash(rows)).indices
    if rows.shape[1] > 1 and _shares_hash(rows[order]):
        order = torch.arange(len(rows), device=rows.device)
        for column in range(rows.shape[1] - 1, -1, -1):
            order = order[torch.sort(rows[order, column], stable=True).indices]
    ordered = rows[order]
    starts = torch.ones(len(rows), dtype=torch.bool, device=rows.device)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(1)
    first = starts.nonzero()[:, 0]
    ends = torch.cat([first[1:], first.new_tensor([len(rows)])])
    if not values:
        return ordered[first], ends - first
    totals = [torch.nn.functional.pad(value[order].cumsum(0), (1, 0)) for value in values]
    return ordered[first], *(total[ends] - total[first] for total in totals)


def to_host(rows: Tensor) -> NDArray[np.uint64]:
    """int64[k, width] as numpy's uint64."""
    return rows.cpu().numpy().view(np.uint64)


def _hash(rows: Tensor) -> Tensor:
    """int64[k]; a single word is its own."""
    import torch

    factors = [pow(_GOLDEN, k, 1 << 64) for k in range(rows.shape[1])]
    signed = [f - (1 << 64) if f >> 63 else f for f in factors]
    return (rows * torch.tensor(signed, device=rows.device)).sum(1)


def _shares_hash(ordered: Tensor) -> bool:
    hashes = _hash(ordered)
    same = hashes[1:] == hashes[:-1]
    return bool((same & (ordered[1:] != ordered[:-1]).any(1)).any())
