"""Noise keyed by what it is for: draw k of an image depends on (seed, image digest, stream, k) alone."""

import hashlib
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Stream = Literal["selection", "estimation"]


def draw_key(seed: int, image_digest: str, stream: Stream, k: int) -> bytes:
    """16 bytes that name one draw."""
    return hashlib.sha256(f"segcert-noise-1 {seed} {image_digest} {stream} {k}".encode()).digest()[:16]


def standard_normal_(out: Tensor, key: bytes) -> Tensor:
    """Fill `out` (contiguous float32, on any device) with the standard normal numbers of a key.

    On the CPU they come from numpy's Philox with the whole 128-bit key (torch seeds its CPU generator with 32
    bits: among 65,000 draws two would be the same). On a GPU they are drawn there, from torch's Philox with the
    first 63 bits. The same key gives different numbers on the two kinds of device.
    """
    if out.device.type == "cpu":
        generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "big")))
        generator.standard_normal(dtype=np.float32, out=out.numpy())
        return out
    seed = int.from_bytes(key[:8], "big") >> 1
    return out.normal_(generator=torch.Generator(out.device).manual_seed(seed))
