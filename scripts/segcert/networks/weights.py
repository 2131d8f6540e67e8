"""Weights of networks: comparison of named tensors with the network that they are loaded into."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from segcert.networks.folders import ModelError

NAMED = 3  # largest number of tensors that an error message names


def fill(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state dict into a network. A shared tensor needs to be present under only one of its names.

    Floating-point numbers of 16, 32 or 64 bits are converted to the network's precision.

    Raises ModelError, which names the first tensors that are missing, unexpected, of the wrong shape or of the wrong
    type.
    """
    expected = model.state_dict()
    filled = {_memory(tensor) for name, tensor in expected.items() if name in state}
    both = {name: (state[name], tensor) for name, tensor in expected.items() if name in state}
    problems = {
        "missing": [name for name, tensor in expected.items() if name not in state and _memory(tensor) not in filled],
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
    if any(problems.values()):
        raise ModelError("; ".join(f"{kind}: {first_of(names)}" for kind, names in problems.items() if names))
    model.load_state_dict(state, strict=False)


def not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that contain NaN or infinity."""
    return [name for name, tensor in state.items() if not bool(tensor.isfinite().all())]


def first_of(names: list[str]) -> str:
    """List the first names, and the number of the others."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _kind(tensor: Tensor) -> str:
    """Return the kind of a tensor's numbers. Numbers of the same kind can be converted to each other."""
    if tensor.is_floating_point():  # numbers of 8 bits or less are quantised: their scale is in another tensor
        return "floating" if tensor.element_size() >= 2 else _type(tensor)
    return "complex" if tensor.is_complex() else "whole"


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _memory(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.shape, tensor.stride()
