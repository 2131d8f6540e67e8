"""Error messages for networks that fail on images. They suggest what to change for each kind of torch error."""

import re
from typing import Any, NoReturn

from torch import Tensor, nn

from segcert.networks.deterministic import nondeterministic_operation
from segcert.networks.folders import ModelError

LONGEST = 300  # maximum number of characters from torch's own message
IN_TORCHSCRIPT = re.compile(r"^[\w.]*Error: (.+)$", re.MULTILINE)
NUMBER_TYPES = re.compile(r"type .*should be the same|scalar type|same dtype|dtype|data ?type", re.IGNORECASE)
DEVICES = re.compile(r"same device|CUDA|cuda:\d|NVIDIA|device type|backend")


def refuse(error: Exception, network: Any, images: Tensor) -> NoReturn:
    """Convert an error that a network raised on images of shape (B, C, H, W) to a ModelError, and raise it.

    The message suggests what to change.
    """
    line = cause(error)
    if operation := nondeterministic_operation(error):
        elsewhere = "" if images.device.type == "cpu" else ", or run it on the CPU (`device: cpu`, `--device cpu`)"
        raise ModelError(
            f"uses {operation}, which is not deterministic on {images.device.type}, so its votes could not be "
            f"reproduced. Replace this layer of the network{elsewhere}"
        ) from error
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        raise ModelError(f"cannot be compiled ({line}). Write `sampling: {{compile: false}}`") from error
    if DEVICES.search(line):
        raise ModelError(
            f"uses a tensor that is not on {images.device}, the device of its images ({line}). Create the "
            "network's tensors with `device=x.device`, or register them as buffers; export an exported network again"
        ) from error
    if NUMBER_TYPES.search(line):
        parameters = network.parameters() if isinstance(network, nn.Module) else ()
        types = sorted({str(each.dtype) for each in parameters if each.is_floating_point()})
        raise ModelError(
            f"does not accept values of type {images.dtype} ({line}); the type of its weights is "
            f"{', '.join(types) or 'unknown'}. Call model.float(), and convert constants with `.to(x.dtype)`; export "
            "an exported network again"
        ) from error
    raise ModelError(
        f"does not accept images of shape {tuple(images.shape)} ({line}). Use a network for this number of channels, "
        "and an image size that is divisible by the network's total downsampling factor"
    ) from error


def cause(error: Exception) -> str:
    """Return the line of an error message that states the cause. TorchScript prints this line after a code listing."""
    text = str(error).strip()
    found = IN_TORCHSCRIPT.findall(text)
    line = found[-1] if found else text.partition("\n")[0]
    if not line or not isinstance(error, RuntimeError):
        line = f"{type(error).__name__}: {line}".removesuffix(": ")
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
