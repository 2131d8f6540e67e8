"""Handle SIGTERM, which a cluster sends to a job before it kills it (time limit, preemption, requeue, scancel)."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_noted = threading.Event()


class Interrupted(BaseException):
    """SIGTERM was received. Like KeyboardInterrupt this is not an Exception, so error handlers do not catch it."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted in the block when SIGTERM is received, so that temporary files and processes are cleaned up.

    Without this, Python ends at once and leaves them behind.
    """
    with _on_sigterm(_raise):
        yield


@contextlib.contextmanager
def interrupted_between_steps() -> Iterator[None]:
    """Record SIGTERM in the block and continue. The code in it calls `is_interrupted` where it can stop.

    It has to stop before SIGKILL: after 30 seconds with SLURM's default KillWait.
    """
    try:
        with _on_sigterm(_note):
            yield
    finally:
        _noted.clear()


def is_interrupted() -> bool:
    """True if SIGTERM was received since the block of `interrupted_between_steps` began."""
    return _noted.is_set()


@contextlib.contextmanager
def _on_sigterm(do: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python handles signals in the main thread only
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
