"""Where networks run: device, threads, determinism."""

import os

import torch


class DeviceError(ValueError):
    """A device that is not there."""


def set_up_torch(device: str, threads: int) -> torch.device:
    """Fix threads and deterministic algorithms; return the device (`auto`: the GPU if there is one).

    Raises DeviceError when `cuda` is asked for and there is none.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "`device`: found cuda, but torch finds no GPU; write `device: auto`, or check driver and torch build"
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    return torch.device(device)


def device_name(device: torch.device) -> str:
    """The hardware's name, for records."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
