"""A probe of networks: a certificate assumes that labels depend only on the noisy image."""

from collections.abc import Callable

import torch
from torch import Tensor

from segcert.networks.folders import ModelError

Logits = Callable[[Tensor], Tensor]

LARGE, SMALL = 3, 2  # sizes of two batches that begin with the same images
NOISE = 0.25  # noise level of probed images; a network may be undefined on constant images
# For different batch sizes, kernels add in different orders. A network that depends on its batch differs by far more.
RTOL, ATOL = 1e-3, 1e-3


def noisy_images(image: Tensor, sigma: float = NOISE) -> Tensor:
    """Return noisy copies, (3, C, H, W), of an image, a darker version and an inverted version, for a probe.

    `image` is (C, H, W) in [0, 1], of the kind for which the network was trained.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((LARGE, *image.shape), generator=generator).to(image)
    return torch.stack([image, image / 2, 1 - image]) + sigma * noise


def gray_image(shape: tuple[int, int, int]) -> Tensor:
    """Return an image with many gray levels, (C, H, W) in [0, 1], for use when no image of the data is available."""
    channels, height, width = shape
    rows = torch.linspace(0, 1, height).view(1, height, 1)
    columns = torch.linspace(0, 1, width).view(1, 1, width)
    return ((rows + columns) / 2).expand(channels, height, width)


def probe_network(logits_of: Logits, name: str, images: Tensor) -> Tensor:
    """Call a network on noisy images, twice and in two batch sizes; return the logits of all images.

    Parameters
    ----------
    logits_of
        The network, which maps (B, C, H, W) to (B, K, H, W).
    name
        Name of the network, for messages.
    images
        Images (3, C, H, W) from `noisy_images`.

    Raises
    ------
    ModelError
        If the logits are not finite, change from call to call, or change with the other images in the batch.
    """
    with torch.inference_mode():
        logits, again, fewer = logits_of(images), logits_of(images), logits_of(images[:SMALL])
    if not bool(torch.isfinite(logits).all()):
        raise ModelError(
            f"{name}: its logits of a noisy image are not finite. Look for a division by a value that can be 0, such "
            "as a standard deviation, and for the logarithm or the root of a negative number"
        )
    if not _alike(logits, again):
        raise ModelError(
            f"{name}: its logits change from call to call on the same images. Call model.eval(); a functional dropout "
            "needs `training=self.training`"
        )
    if not _alike(logits[:SMALL], fewer):
        raise ModelError(
            f"{name}: its logits of an image change with the other images in the batch. Call model.eval(); replace "
            "batch statistics (BatchNorm with track_running_stats=False) by running statistics, or by GroupNorm"
        )
    return logits


def _alike(logits: Tensor, others: Tensor) -> bool:
    scale = float(logits.abs().max()) or 1.0
    return torch.allclose(logits, others, rtol=RTOL, atol=ATOL * scale)
