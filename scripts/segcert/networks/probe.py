"""Test that a network's labels depend only on the noisy image. Certificates are valid only if this is true."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segcert.networks.failures import refuse
from segcert.networks.folders import ModelError
from segcert.networks.outputs import OutputError, check_logits
from segcert.networks.runtime import is_same, rounding_of

Logits = Callable[[Tensor], Tensor]

IMAGES = 3
NOISE = 0.25  # sigma; the noise avoids constant images, on which even a valid network may be undefined


def noisy_images(image: Tensor, sigma: float = NOISE) -> Tensor:
    """Return three noisy test images of shape (3, C, H, W): the image, a darker copy and an inverted copy.

    `image` has shape (C, H, W) and values in [0, 1]. It should resemble the network's training images.
    """
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((IMAGES, *image.shape), generator=generator).to(image)
    return torch.stack([image, image / 2, 1 - image]) + sigma * noise


def gray_image(shape: tuple[int, int, int]) -> Tensor:
    """Return a gray gradient in [0, 1], of shape (C, H, W), for use when no image from the data set is available."""
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
        The network: a function that maps images of shape (B, C, H, W) to logits of shape (B, K, H, W).
    name
        Name of the network, for messages.
    images
        Three images, of shape (3, C, H, W), as returned by `noisy_images`.

    Raises
    ------
    ModelError
        If the logits are not finite, change from call to call, or depend on the other images in the batch.
    """
    with torch.inference_mode():
        logits, again, fewer = logits_of(images), logits_of(images), logits_of(images[:-1])
    require_finite(logits, logits_of, name, "a noisy image")
    precision = rounding_of(logits_of)
    if not is_same(logits, again, precision):
        raise ModelError(
            f"{name}: its logits change from call to call on the same images. Call model.eval() (for an exported "
            "network: before the export), and pass `training=self.training` to functional dropout"
        )
    if not is_same(logits[:-1], fewer, precision):
        raise ModelError(
            f"{name}: its logits for an image change with the other images in the batch. Call model.eval(), and "
            "replace batch statistics (BatchNorm with track_running_stats=False) with running statistics or GroupNorm"
        )


def require_finite(output: Tensor, network: Any, name: str, image: str) -> None:
    """Raise ModelError if an output of a network is not finite. The message says what to look for.

    Without this check, logits that are NaN would silently be converted to a label. `name` is the network's name, and
    `image` describes the image in the message.
    """
    if bool(output.isfinite().all()):
        return
    named = network.state_dict().items() if isinstance(network, nn.Module) else ()
    broken = [key for key, tensor in named if tensor.is_floating_point() and bool(tensor.isnan().any())]
    if broken:
        raise ModelError(
            f"{name}: its weights contain NaN ({broken[0]}), which means that its training failed. Use an earlier "
            "checkpoint"
        )
    raise ModelError(
        f"{name}: its output for {image} is not finite. Look for a division by a value that can be 0, such as a "
        "standard deviation, for the logarithm or the square root of a negative number, and for weights that are too "
        "large for their data type"
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
        output = _output(model, images)
        check_logits(output, (len(images), len(classes), height, width))
    except OutputError as error:
        raise ModelError(f"{what}: {error}. The classes are {', '.join(classes)}") from error
    except ModelError as error:
        raise ModelError(f"{what}: {str(error).removeprefix('`program`: the exported network ')}") from error
    probe_network(model, what, images)


def _output(model: nn.Module, images: Tensor) -> Any:
    try:
        with torch.inference_mode():
            return model(images)
    except ModelError:
        raise
    except Exception as error:  # a user-supplied network can raise anything
        refuse(error, model, images)
