"""A probe of networks: a certificate assumes that labels are a function of the noisy image alone."""

from collections.abc import Callable

import torch
from torch import Tensor

from segcert.networks.folders import ModelError

Logits = Callable[[Tensor], Tensor]

IMAGES = 3
NOISE = 0.25  # a network may be undefined on constant images, so the probe adds noise
# Kernels add in a different order for a different batch size. A network that depends on its batch differs by far more.
TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}  # relative to the largest logit


def noisy_images(image: Tensor, sigma: float = NOISE) -> Tensor:
    """Return three different images, (3, C, H, W), for a probe: noisy copies of one and of darker and inverted ones.

    image: (C, H, W) in [0, 1], of the kind that the network is for.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((IMAGES, *image.shape), generator=generator).to(image)
    return torch.stack([image, image / 2, 1 - image]) + sigma * noise


def gray_image(shape: tuple[int, int, int]) -> Tensor:
    """Return an image of many gray levels, (C, H, W) in [0, 1], where no image of the data is at hand."""
    channels, height, width = shape
    rows = torch.linspace(0, 1, height).view(1, height, 1)
    columns = torch.linspace(0, 1, width).view(1, 1, width)
    return ((rows + columns) / 2).expand(channels, height, width)


def probe_network(logits_of: Logits, name: str, images: Tensor) -> None:
    """Call a network on noisy images, twice and in two batch sizes.

    Parameters
    ----------
    logits_of
        The network, (B, C, H, W) to (B, K, H, W).
    name
        Its name for messages.
    images
        (3, C, H, W), as `noisy_images` makes them.

    Raises
    ------
    ModelError
        If its logits are not finite, change from call to call, or change with the other images of the batch.
    """
    with torch.inference_mode():
        logits, again, fewer = logits_of(images), logits_of(images), logits_of(images[:-1])
    if not bool(torch.isfinite(logits).all()):
        raise ModelError(
            f"{name}: its logits of a noisy image are not finite. Look for a division by a value that can be 0, such "
            "as a standard deviation, and for the logarithm or the root of a negative number"
        )
    if not is_same(logits, again):
        raise ModelError(
            f"{name}: its logits change from call to call on the same images. Call model.eval(); a functional dropout "
            "needs `training=self.training`"
        )
    if not is_same(logits[:-1], fewer):
        raise ModelError(
            f"{name}: its logits of an image change with the other images of the batch. Call model.eval(); replace "
            "batch statistics (BatchNorm with track_running_stats=False) by running ones, or by GroupNorm"
        )


def is_same(logits: Tensor, others: Tensor, precision: str = "float32") -> bool:
    """Return True if logits of the same images differ by rounding at most. precision: "float32" or "bfloat16"."""
    scale = float(logits.abs().max()) or 1.0
    return bool((logits - others).abs().max() <= TOLERANCE[precision] * scale)
