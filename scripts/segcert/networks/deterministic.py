"""Deterministic replacements for operations that torch offers only in a nondeterministic form."""

import functools
import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

REPLACED = ("max_unpool2d", "max_unpool3d")
MESSAGE = " does not have a deterministic implementation"


def max_unpool(x: Tensor, indices: Tensor, output_size: Sequence[int], *_: object) -> Tensor:
    """Undo max pooling: write each value to its index in an image of zeros.

    If several values have the same index, torch keeps an arbitrary one of them, whereas this function keeps the
    largest. The indices are unique if the pooling windows do not overlap.

    Parameters
    ----------
    x
        Pooled images, of shape (B, C, ...).
    indices
        Indices in the flattened output of each channel, with the shape of x.
    output_size
        Size of the result: (height, width), or (depth, height, width) for a volume.
    """
    axes = -len(output_size)
    flat = x.new_zeros(*x.shape[:axes], math.prod(output_size))
    flat.scatter_reduce_(-1, indices.flatten(axes), x.flatten(axes), "amax", include_self=False)
    return flat.reshape(*x.shape[:axes], *output_size)


@functools.cache
def replace_operations() -> torch.library.Library:
    """Make torch call the replacements in this process, including in exported networks."""
    # The replacements remain registered as long as this object exists.
    library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*Overriding a previously registered kernel")
        for name in REPLACED:
            for device in ("CPU", "CUDA"):
                library.impl(name, max_unpool, device)  # type: ignore[no-untyped-call]
    return library


def nondeterministic_operation(error: Exception) -> str | None:
    """Return the name of the operation that torch refused as nondeterministic, or None for any other error."""
    before, found, _ = str(error).partition(MESSAGE)
    return (before.split() or ["an operation"])[-1] if found else None
