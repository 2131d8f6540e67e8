"""Test that a network's labels depend only on the noisy image. Certificates assume this."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from segcert.networks.folders import ModelError
from segcert.networks.runtime import is_same

Logits = Callable[[Tensor], Tensor]

IMAGES = 3
NOISE = 0.25  # sigma; the noise avoids constant images, on which even a valid network may be undefined


def noisy_images(image: Tensor, sigma: float = NOISE) -> Tensor:
    """Return three noisy test images, (3, C, H, W): an image, a darker copy and an inverted copy.

    `image` is (C, H, W) in [0, 1] and should resemble the images that the network was trained on.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((IMAGES, *image.shape), generator=generator).to(image)
    return torch.stack([image, image / 2, 1 - image]) + sigma * noise


def gray_image(shape: tuple[int, int, int]) -> Tensor:
    """Return a gray gradient, (C, H, W) in [0, 1], to use when no image from the data set is available."""
    channels, height, width = shape
    rows = torch.linspace(0, 1, height).view(1, height, 1)
    columns = torch.linspace(0, 1, width).view(1, 1, width)
    return ((rows + columns) / 2).expand(channels, height, width)


def probe_network(logits_of: Logits, name: str, images: Tensor) -> None:
    """Check that a network's logits are finite, reproducible and independent of the other images in a batch.

    The network is called twice on three noisy images, and once on the first two.

    Parameters
    ----------
    logits_of
        The network: a function from (B, C, H, W) to (B, K, H, W).
    name
        Name of the network, for messages.
    images
        (3, C, H, W), as returned by `noisy_images`.

    Raises
    ------
    ModelError
        If the logits are not finite, change from call to call, or depend on the other images in the batch.
    """
    with torch.inference_mode():
        logits, again, fewer = logits_of(images), logits_of(images), logits_of(images[:-1])
    if not bool(torch.isfinite(logits).all()):
        raise ModelError(
            f"{name}: its logits for a noisy image are not finite. Look for a division by a value that can be 0, such "
            "as a standard deviation, and for the logarithm or the square root of a negative number"
        )
    if not is_same(logits, again):
        raise ModelError(
            f"{name}: its logits change from call to call on the same images. Call model.eval(), and pass "
            "`training=self.training` to functional dropout"
        )
    if not is_same(logits[:-1], fewer):
        raise ModelError(
            f"{name}: its logits for an image change with the other images in the batch. Call model.eval(), and "
            "replace batch statistics (BatchNorm with track_running_stats=False) with running statistics or GroupNorm"
        )


def check_output(model: nn.Module, what: str, shape: Sequence[int], classes: Sequence[str]) -> None:
    """Check the output of a network in eval mode on images of `shape` (C, H, W).

    Raises ModelError for a network that

    - does not accept the images,
    - does not return logits of their height and width with one channel per class, or
    - returns logits that change from call to call, or depend on other images in the batch (see `probe_network`).

    The message begins with `what` and says what was found and what was expected.
    """
    parameter = next(model.parameters(), torch.zeros(0))
    channels, height, width = shape
    images = noisy_images(gray_image((channels, height, width))).to(parameter.device)
    try:
        with torch.inference_mode():
            logits = model(images)
    except Exception as error:  # a user-supplied network can raise anything; TorchScript explains in the last line
        last = str(error).strip().rpartition("\n")[2]
        raise ModelError(
            f"{what}: does not accept images of shape {tuple(images.shape)} ({last}). Use a network for this number of "
            "channels, and an `image_size` that the network can halve often enough"
        ) from error
    expected = (len(images), len(classes), *shape[1:])
    found = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
    if found != expected:
        raise ModelError(
            f"{what}: returns {found} for images of shape {tuple(images.shape)}; expected logits {expected}, one "
            f"channel for each of the classes {', '.join(classes)}. Use a network with these classes, in this order, "
            "whose forward returns the logits only"
        )
    probe_network(model, what, images)
