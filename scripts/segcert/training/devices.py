"""Where a training runs: one device, or the GPUs of a node."""

import torch
from accelerate import Accelerator

MIXED_PRECISION = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


def accelerator_on(device: torch.device, precision: str) -> Accelerator:
    """accelerate's view of a device, with the arithmetic that the configuration names."""
    return Accelerator(cpu=device.type == "cpu", mixed_precision=MIXED_PRECISION[precision])
