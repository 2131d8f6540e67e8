"""Handle SIGTERM, which a cluster sends to a job before SIGKILL (at a time limit, preemption, requeue or scancel)."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_noted = threading.Event()


class Interrupted(BaseException):
    """Raised when SIGTERM is received. It is not a subclass of Exception, so general error handlers do not catch it."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted in the block when SIGTERM is received, so that temporary files and processes are cleaned up.

    By default, Python terminates on SIGTERM without any cleanup.
    """
    with _on_sigterm(_raise):
        yield


@contextlib.contextmanager
def interrupted_between_steps() -> Iterator[None]:
    """Record SIGTERM and let the block continue. The code in the block calls `is_interrupted` between its steps.

    When `is_interrupted` returns True, the code must stop before SIGKILL follows. With SLURM's default KillWait, this
    is after 30 seconds.
    """
    try:
        with _on_sigterm(_note):
            yield
    finally:
        _noted.clear()


def is_interrupted() -> bool:
    """Return True if SIGTERM was received in the current block of `interrupted_between_steps`."""
    return _noted.is_set()


@contextlib.contextmanager
def _on_sigterm(do: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only the main thread can set signal handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, do)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted("SIGTERM")


def _note(_number: int, _frame: FrameType | None) -> None:
    _noted.set()
