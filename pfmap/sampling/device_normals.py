"""Standard normals made on the device that uses them: Philox4x32-10, Box and Muller, in torch operations.

Normal j of index i is one of the four of block (j mod ceil(width / 4), i, stream) under the seed, so it depends on no
other. The stream is not that of kernels/normals.py: same law, other numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

STREAM = "philox4x32-10"
"""Names how latents follow from a seed on a device."""

_WORD = 0xFFFFFFFF
_OWN = 1 << 31  # in the stream's word: the lanes of kernels/normals.py are seeded by the same Philox without it


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> tuple[Tensor, ...]:
    """Four random words of each counter: 32-bit words in int64 tensors that broadcast together.

    Source: Salmon et al. 2011, checked against the known answers of Random123.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        first, second = c0 * 0xD2511F53, c2 * 0xCD9E8D57  # modulo 2^64: the low words are right, the high ones signed
        c0, c1 = (second >> 32 & _WORD) ^ c1 ^ k0, second & _WORD
        c2, c3 = (first >> 32 & _WORD) ^ c3 ^ k1, first & _WORD
        k0, k1 = k0 + 0x9E3779B9 & _WORD, k1 + 0xBB67AE85 & _WORD
    return c0, c1, c2, c3


def device_normals(seed: int, first: int, count: int, width: int, stream: int, device: torch.device) -> Tensor:
    """float32[count, width] on a device: row i is the `width` normals at index first + i of one stream of a seed.

        z = sqrt(-2 ln u) (cos, sin)(2 pi v),   u, v = (word + 1/2) 2^-32

    Values are never 0 and never beyond 6.77.

    Error: the float64 value of the formula, rounded; libraries whose float64 logarithm or sine differ in the last place
        may round a few in 1e8 otherwise. Cost: some 150 passes over a quarter of the values in 64 bits; 40 bytes a
        value of memory.
    Source: Salmon et al. 2011 (Philox4x32-10), Box and Muller 1958.
    """
    import torch

    index = torch.arange(count, device=device)[:, None] + (first - (1 << 64) if first >> 63 else first)
    block = torch.arange(-(-width // 4), device=device)[None]
    counter = (block, index & _WORD, index >> 32 & _WORD, torch.full_like(block, stream | _OWN))
    words = philox(counter, (seed & _WORD, seed >> 32))
    normals: list[Tensor] = []
    for u, v in (words[:2], words[2:]):
        radius = u.to(torch.float64).add_(0.5).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
        angle = v.to(torch.float64).add_(0.5).mul_(2.0**-31 * math.pi)
        normals += [(radius * angle.cos()).to(torch.float32), (radius * angle.sin()).to(torch.float32)]
    return torch.cat(normals, 1)[:, :width]
