"""What names a network: a digest of its structure and weights."""

from typing import Any

import torch
from torch import nn

from segcert.provenance.digests import array_digest, value_digest


def module_digest(part: Any) -> str | None:
    """SHA-256 over a module's structure, weights and buffers; None for what is no module."""
    if not isinstance(part, nn.Module):
        return None
    tensors = {name: value for name, value in part.state_dict().items() if isinstance(value, torch.Tensor)}
    digests = {name: array_digest(tensor.detach().cpu().double().numpy()) for name, tensor in tensors.items()}
    return value_digest([str(part), digests])
