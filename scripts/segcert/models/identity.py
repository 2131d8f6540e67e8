"""What names a network: a digest of its structure and weights."""

from typing import Any

import torch
from torch import nn

from segcert.provenance.digests import array_digest, value_digest


def module_digest(part: Any) -> str | None:
    """SHA-256 over a module's structure, weights and buffers; None for what is no module."""
    if not isinstance(part, nn.Module):
        return None
    weights = {
        name: array_digest(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
        for name, tensor in part.state_dict().items()
        if isinstance(tensor, torch.Tensor) and tensor.ndim
    }
    scalars = {
        name: float(tensor) for name, tensor in part.state_dict().items() if name not in weights
    }
    return value_digest([str(part), weights, scalars])
