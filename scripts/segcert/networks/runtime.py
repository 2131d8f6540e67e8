"""Which GPUs of a machine a process may use: of several, jobs that run side by side take one each.

Where networks run: device, threads, determinism, memory.
"""

import contextlib
import ctypes
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import numpy.typing as npt
import torch

from segcert.io.progress import log

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held: list[filelock.BaseFileLock] = []


def visible_gpus() -> list[str]:
    """Names of the GPUs that CUDA shows: the entries of CUDA_VISIBLE_DEVICES, else 0, 1, ... for those of the machine.

    As for CUDA, the list ends at the first entry that is empty or negative.
    """
    stated = os.environ.get(VISIBLE)
    if stated is None:
        return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]
    names = (name.strip() for name in stated.split(","))
    return list(itertools.takewhile(lambda name: name and not name.startswith("-"), names))


def claim_gpus(count: int, folder: str | Path | None = None) -> list[str]:
    """Take `count` of several GPUs that no other job of this user holds here, and let CUDA show these alone.

    They are held until this process ends, however it ends. Must come before CUDA starts. Where one GPU is all there is,
    or too few are free, nothing is claimed and the process shares what CUDA shows. `folder` is where the locks stand.
    Returns the names of the GPUs that this process may use.
    """
    visible = visible_gpus()
    if len(visible) < 2 or not count:
        return visible
    folder = Path(folder or Path(tempfile.gettempdir(), f"segcert-gpus-{os.getuid()}"))
    folder.mkdir(mode=0o700, exist_ok=True)
    claimed: dict[str, filelock.BaseFileLock] = {}
    for name in visible:
        lock = filelock.FileLock(folder / name.replace("/", "-"))
        try:
            claimed[name] = lock.acquire(blocking=False).lock
        except filelock.Timeout:
            continue
        if len(claimed) == count:
            _held.extend(claimed.values())
            os.environ[VISIBLE] = ",".join(claimed)
            return list(claimed)
    for held in claimed.values():
        held.release()
    log.warning("GPUs: %d of %d are free and this job wants %d; it shares them", len(claimed), len(visible), count)
    return visible


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
