"""Load weights into networks, and compare the weights with the tensors that a network expects."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from segcert.networks.folders import ModelError

NAMED = 3  # largest number of tensors that an error message names


COUNTER, STATISTICS = "num_batches_tracked", "running_mean"


def fill(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state dict into a network. See `mismatches`.

    Floating-point numbers of 16, 32 or 64 bits are converted to the network's precision.

    Raises a ModelError that names the first tensors that are missing, unexpected, of the wrong shape or of the wrong
    type.
    """
    if problems := mismatches(model.state_dict(), state):
        raise ModelError(problems_listed(problems))
    model.load_state_dict(state, strict=False)


def mismatches(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return a dict that maps kinds of differences between a network and a state dict to the tensors that differ.

    The dict is empty if the network and the state dict match. A shared tensor needs to be present under only one of its
    names. A counter of training batches may be missing, because it has no use after training.
    """
    filled = {_memory(tensor) for name, tensor in expected.items() if name in state}
    missing = []
    for name, tensor in expected.items():
        parent, _, last = name.rpartition(".")
        optional = last == COUNTER and f"{parent}.{STATISTICS}".lstrip(".") in state
        if name not in state and _memory(tensor) not in filled and not optional:
            missing.append(name)
    both = {name: (state[name], tensor) for name, tensor in expected.items() if name in state}
    kinds = {
        "missing": missing,
        "unexpected": sorted(state.keys() - expected.keys()),
        "of the wrong shape": [
            f"{name} {tuple(found.shape)} instead of {tuple(tensor.shape)}"
            for name, (found, tensor) in both.items()
            if found.shape != tensor.shape
        ],
        "of the wrong type": [
            f"{name} {_type(found)} instead of {_type(tensor)}"
            for name, (found, tensor) in both.items()
            if _kind(found) != _kind(tensor)
        ],
    }
    return {kind: names for kind, names in kinds.items() if names}


def problems_listed(problems: Mapping[str, list[str]]) -> str:
    """Format the differences that `mismatches` found as text."""
    return "; ".join(f"{kind}: {first_of(names)}" for kind, names in problems.items())


def not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that contain NaN or infinity."""
    return [name for name, tensor in state.items() if not bool(tensor.isfinite().all())]


def first_of(names: list[str]) -> str:
    """Return the first names, and the number of the remaining names, as text."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _kind(tensor: Tensor) -> str:
    """Return the kind of a tensor's numbers. Numbers of the same kind can be converted to each other."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        return f"{_type(tensor)}, {tensor.layout}, {tensor.device.type}"
    if tensor.is_floating_point():  # numbers of 8 bits or less are quantised, and their scale is in another tensor
        return "floating" if tensor.element_size() >= 2 else _type(tensor)
    return "complex" if tensor.is_complex() else "whole"


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _memory(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.shape, tensor.stride()
