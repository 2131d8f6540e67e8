"""Runtime settings of networks: device, threads, determinism and memory."""

import contextlib
import ctypes
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segcert.networks.deterministic import replace_operations
from segcert.networks.gpus import claim_gpus

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}  # available for sampling
# Largest difference between logits, relative to the largest logit, that rounding can cause. Kernels for different batch
# sizes add numbers in different orders. Logits that depend on the other images in the batch differ by much more.
TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}


class DeviceError(ValueError):
    """Error for a device that is not available."""


def set_up_torch(device: str, threads: int, gpus: int = 1) -> torch.device:
    """Set the number of threads, require deterministic algorithms, and return the device.

    The device "auto" means the GPU if there is one, and the CPU otherwise. `gpus` is the number of GPUs to claim (see
    `claim_gpus`). Use 0 if another process has already claimed GPUs for this process. Raises DeviceError for "cuda" if
    there is no GPU.
    """
    if device != "cpu":
        claim_gpus(gpus)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "`device`: found cuda, but torch finds no GPU. Write `device: auto`, or check the driver and torch's build"
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    keep_freed_memory()
    replace_operations()
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms imports the compiler, which takes 2 s
    return torch.device(device)


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """Return a context manager in which networks compute in `precision`, which is "float32" or "bfloat16"."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, PRECISIONS[precision])


def compile_network(network: Any, device: torch.device) -> Any:
    """Compile a torch module, with CUDA graphs on a GPU. Return any other callable unchanged."""
    torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled())  # passes this to the compiler
    if not isinstance(network, torch.nn.Module):
        return network
    return torch.compile(network, mode="reduce-overhead" if device.type == "cuda" else "default")


def on_device(values: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """Copy an array to a tensor on a device, without waiting for the GPU's pending work."""
    host = torch.from_numpy(values if values.flags.writeable else values.copy())  # torch warns about read-only memory
    return host if device.type == "cpu" else host.pin_memory().to(device, non_blocking=True)


def after_this(device: torch.device, work: Callable[..., None], *arguments: Any) -> Callable[[], None]:
    """Return a function that runs `work` on a GPU after all work that the current thread has queued.

    The function can be called from another thread.
    """
    stream = torch.cuda.current_stream(device) if device.type == "cuda" else None

    def do() -> None:
        with torch.cuda.stream(stream) if stream else contextlib.nullcontext():
            work(*arguments)

    return do


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for later tensors. With other C libraries, this function does nothing.

    By default, glibc immediately returns the memory of large tensors to the system, so every layer has to map new pages
    for every batch. For a denoiser at 256x256 pixels with batches of 10 on a CPU, that takes a third of the run time.
    """
    m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)


def ran_out_of_memory(error: Exception) -> bool:
    """Return True if a torch error says that GPU or CPU memory is exhausted."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(error)


def device_name(device: torch.device) -> str:
    """Return the name of a device's hardware, for run records."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"


def rounding_of(network: Any, precision: str = "float32") -> str:
    """Return the precision to which a network's logits are rounded.

    The result is "bfloat16" if any of the network's weights have fewer than 32 bits, and `precision` otherwise.
    """
    parameters = network.parameters() if isinstance(network, torch.nn.Module) else ()
    short = any(each.is_floating_point() and each.dtype.itemsize < torch.float32.itemsize for each in parameters)
    return "bfloat16" if short else precision


def rounding(device: torch.device) -> dict[str, Any]:
    """Return the values that determine how networks round on a device, apart from their code, precision and batch size.

    These values are the versions of torch and numpy, the kind of processor, torch's settings for float32 arithmetic
    and, on a CPU, the number of threads. benchmarks/rounding.py measures their effect.
    """
    backends: Any = torch.backends
    found: dict[str, Any] = {"torch": torch.__version__, "numpy": np.__version__}
    found["float32_matmul"] = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        found |= {"processor": torch.cuda.get_device_name(device), "cudnn": backends.cudnn.version()}
        found["tf32"] = f"{backends.cudnn.conv.fp32_precision}, {backends.cuda.matmul.fp32_precision}"
        found["deterministic"] = torch.get_deterministic_debug_mode() > 0
        return found
    return found | {"processor": backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()}


def is_same(logits: Tensor, others: Tensor, precision: str = "float32") -> bool:
    """Return True if two sets of logits differ only by rounding in `precision`: "float32" or "bfloat16"."""
    scale = float(logits.abs().max()) or 1.0
    return bool((logits - others).abs().max() <= TOLERANCE[precision] * scale)
