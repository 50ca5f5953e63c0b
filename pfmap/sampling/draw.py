"""Thin first version: torch logits, one thread, in memory."""

from __future__ import annotations

import numpy as np

from pfmap.counts import FunctionCounts
from pfmap.maps import ParameterFunctionMap
from pfmap.streams import check_seed, generator
from pfmap.tables import TruthTables


def draw(pfm: ParameterFunctionMap, n_samples: int, *, seed: int = 0) -> FunctionCounts:
    """Draw."""
    import torch

    rng = generator(check_seed(seed), "thin")
    rows = []
    for start in range(0, n_samples, 256):
        z = rng.standard_normal((min(256, n_samples - start), pfm.n_latents), np.float32)
        rows.append(TruthTables.from_bits((pfm.logits(torch.from_numpy(z)) > 0).numpy(), pfm.domain).packed)
    keys, counts = np.unique(np.concatenate(rows), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    spec = {"map": dict(pfm.spec), "draws": [{"seed": seed, "start": 0, "stop": n_samples, "stream": "thin"}]}
    return FunctionCounts(TruthTables(pfm.domain, keys[order]), counts[order].astype(np.int64), n_samples, spec)
