"""Where networks run: device, threads, determinism, memory."""

import contextlib
import ctypes
import os
from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import torch

from segcert.networks.gpus import claim_gpus

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}  # of sampling


class DeviceError(ValueError):
    """A device that is not there."""


def set_up_torch(device: str, threads: int, gpus: int = 1) -> torch.device:
    """Fix threads and deterministic algorithms; return the device (`auto`: the GPU if there is one).

    Of several GPUs it takes `gpus` that no other job holds (0: those that CUDA shows, as another process has claimed
    them for this one). Raises DeviceError when `cuda` is asked for and there is none.
    """
    if device != "cpu":
        claim_gpus(gpus)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "`device`: found cuda, but torch finds no GPU; write `device: auto`, or check driver and torch build"
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    keep_freed_memory()
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, which imports the compiler: 2 s
    return torch.device(device)


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """A context in which networks compute in a precision of PRECISIONS."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, PRECISIONS[precision])


def compile_network(network: Any, device: torch.device) -> Any:
    """A module through torch.compile, with CUDA graphs on a GPU; any other callable as it is."""
    torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled())  # tells the compiler
    if not isinstance(network, torch.nn.Module):
        return network
    return torch.compile(network, mode="reduce-overhead" if device.type == "cuda" else "default")


def on_device(values: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """An array as a tensor on a device; a GPU need not finish its work before it gets it."""
    host = torch.from_numpy(values if values.flags.writeable else values.copy())  # torch warns of read-only memory
    return host if device.type == "cpu" else host.pin_memory().to(device, non_blocking=True)


def after_this(device: torch.device, work: Callable[..., None], *arguments: Any) -> Callable[[], None]:
    """The work, for another thread to do after all that this one has queued on a GPU."""
    stream = torch.cuda.current_stream(device) if device.type == "cuda" else None

    def do() -> None:
        with torch.cuda.stream(stream) if stream else contextlib.nullcontext():
            work(*arguments)

    return do


def keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next tensor, where it is glibc.

    By default glibc hands large tensors back to the system at once, and every layer of every batch pays for new pages:
    of a denoiser at 256x256 pixels, batches of 10 on a CPU, that is a third of the time.
    """
    m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)


def ran_out_of_memory(error: Exception) -> bool:
    """Whether an error of torch says that the memory of GPU or CPU is used up."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(error)


def device_name(device: torch.device) -> str:
    """The hardware's name, for records."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
