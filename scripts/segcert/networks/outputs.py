"""Detect network outputs that are not logits, and suggest how to convert them to logits."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from segcert.networks.folders import ModelError

SHOWN = 4  # largest number of tensors that an error message lists


class OutputError(ModelError):
    """Error for an output that is not logits. The message says what was found and how to convert it to logits."""

    def __init__(self, output: Any, shape: tuple[int, ...], remedy: str) -> None:
        parts = "" if isinstance(output, Tensor) else ", ".join(f"{key} {_kind(of)}" for key, of in _parts(output))
        found = _kind(output) if isinstance(output, Tensor) else f"a {type(output).__name__}"
        super().__init__(f"returns {found}{' with ' if parts else ''}{parts}; expected logits {shape}. {remedy}")


def check_logits(output: Any, shape: tuple[int, ...]) -> None:
    """Raise OutputError unless an output consists of logits of the given shape, (B, K, H, W) for K classes."""
    if not isinstance(output, Tensor):
        fitting = [key for key, part in _parts(output) if tuple(part.shape[1:]) == shape[1:]]
        if not fitting:
            raise OutputError(output, shape, "Wrap the network in a module that returns the logits, as one tensor")
        raise OutputError(
            output, shape, f"Wrap the network in a module that returns the logits, such as `network(x){fitting[0]}`"
        )
    found, integer = tuple(output.shape), _is_integer(output)
    if found == shape and (output.is_floating_point() or integer):
        return
    batch, classes, *size = shape
    if not output.is_floating_point() and found in ((batch, *size), (batch, 1, *size)):
        labels = "labels" if len(found) < len(shape) else "labels[:, 0]"
        raise OutputError(
            output, shape, f"For labels, return `one_hot({labels}.long(), {classes}).movedim(-1, 1).float()` instead"
        )
    if classes == 2 and found in ((batch, *size), (batch, 1, *size)):
        _refuse_binary(output, shape)
    if found[:2] == (batch, classes) and len(found) == len(shape) and found != shape:
        raise OutputError(
            output,
            shape,
            "Enlarge the logits within the network: `torch.nn.functional.interpolate(logits, size=x.shape[2:], "
            "mode='bilinear')`",
        )
    if found == (batch, *size, classes):
        raise OutputError(output, shape, "Move the channels within the network: `logits.movedim(-1, 1)`")
    if found == (batch, classes, 1, *size):
        raise OutputError(output, shape, "Remove the third axis within the network: `logits[:, :, 0]`")
    if found == shape:
        raise OutputError(output, shape, "Return real numbers: `output.float()`")
    raise OutputError(
        output,
        shape,
        "Use a network with one channel for each class, the background included, whose forward returns the logits only",
    )


def _refuse_binary(output: Tensor, shape: tuple[int, ...]) -> None:
    """Raise OutputError for the output of a binary network, which has only one value per pixel."""
    z = "z" if output.ndim == len(shape) else "z[:, None]"
    p = z.replace("z", "p")
    low, high = (float(each) for each in output.float().aminmax())
    if low >= 0 and high <= 1:
        raise OutputError(
            output,
            shape,
            f"Its values, from {low:.3g} to {high:.3g}, seem to be probabilities p of the second class: return "
            f"`torch.cat([1 - {p}, {p}], 1)` instead",
        )
    raise OutputError(
        output,
        shape,
        f"Its values, from {low:.3g} to {high:.3g}, seem to be logits z of the second class, before a sigmoid: return "
        f"`torch.cat([torch.zeros_like({z}), {z}], 1)` instead",
    )


def _parts(output: Any) -> list[tuple[str, Tensor]]:
    """Return the tensors in an output, each with the code that selects it."""
    if isinstance(output, Mapping):
        items = {f"[{key!r}]": value for key, value in output.items()}
    elif isinstance(output, (list, tuple)):
        items = {f"[{number}]": value for number, value in enumerate(output)}
    else:
        items = {f".{name}": value for name, value in getattr(output, "__dict__", {}).items()}
    return [(key, value) for key, value in items.items() if isinstance(value, Tensor)][:SHOWN]


def _kind(output: Tensor) -> str:
    number = "" if output.is_floating_point() else f" of {output.dtype}"
    return f"{tuple(output.shape)}{number}"


def _is_integer(output: Tensor) -> bool:
    return not (output.is_floating_point() or output.is_complex() or str(output.dtype) == "torch.bool")
