"""Where a training runs: one device, or the GPUs of a node."""

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

MIXED_PRECISION = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}


def accelerator_on(device: torch.device, precision: str) -> Accelerator:
    """accelerate's view of a device, with the arithmetic that the configuration names.

    It keeps the device and the arithmetic of the first training of a process for all that follow: they are forgotten
    here, but by the processes of a launch, which hold one training each.
    """
    if AcceleratorState._shared_state and AcceleratorState().num_processes == 1:
        AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=device.type == "cpu", mixed_precision=MIXED_PRECISION[precision])
