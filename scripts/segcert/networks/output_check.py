"""Is a network a segmenter of the data? It is asked once, before it is trained or certified."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from segcert.networks.folders import ModelError

BATCH = 2


def check_output(model: nn.Module, what: str, shape: Sequence[int], classes: Sequence[str]) -> None:
    """Run a network in eval mode on images of `shape` (C, H, W).

    Raises ModelError, with `what` for its name, what was found and what was expected, for one that cannot take them,
    that does not give logits of their size with a channel per class, or whose logits of an image change with the other
    images of its batch or from call to call, as they do in train mode.
    """
    parameter = next(model.parameters(), torch.zeros(0))
    images = torch.zeros(BATCH, *shape, device=parameter.device)
    companions = images.clone()
    companions[1:] = 1.0
    try:
        with torch.inference_mode():
            logits, beside_others = model(images), model(companions)
    except Exception as error:  # a network of others' raises what it likes; of TorchScript the last line says what
        last = str(error).strip().rpartition("\n")[2]
        raise ModelError(
            f"{what}: cannot take images of shape {tuple(images.shape)} ({last}). Take a network for this number of "
            "channels, and an `image_size` that it can halve as often as it does"
        ) from error
    expected = (BATCH, len(classes), *shape[1:])
    found = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
    if found != expected:
        raise ModelError(
            f"{what}: gives {found} for images of shape {tuple(images.shape)}; expected logits {expected}, a channel "
            f"for each of the classes {', '.join(classes)}. Give a network with these classes, in this order, whose "
            "forward returns the logits alone"
        )
    if not torch.allclose(logits[0], beside_others[0], rtol=1e-3, atol=1e-4):
        raise ModelError(
            f"{what}: its logits of an image change from call to call, or with the other images of the batch; "
            "expected a network in eval mode. Call model.eval() before you export it"
        )
