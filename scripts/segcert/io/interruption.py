"""SIGTERM: what a cluster sends a job before it kills it (time limit, preemption, requeue, scancel)."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_noted = threading.Event()


class Interrupted(BaseException):
    """SIGTERM came. Like KeyboardInterrupt it is no error, so nothing that handles errors takes it for one."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted in the block as soon as SIGTERM comes: temporary files are removed, processes ended.

    Without it Python ends at once and leaves them.
    """
    with _on_sigterm(_raise):
        yield


@contextlib.contextmanager
def interrupted_between_steps() -> Iterator[None]:
    """In the block note SIGTERM and go on: whoever is in it asks `is_interrupted` when its work can be left.

    It has the seconds until SIGKILL: 30 on a cluster that leaves SLURM's KillWait alone.
    """
    try:
        with _on_sigterm(_note):
            yield
    finally:
        _noted.clear()


def is_interrupted() -> bool:
    """Whether SIGTERM came since the block of `interrupted_between_steps` began."""
    return _noted.is_set()


@contextlib.contextmanager
def _on_sigterm(do: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python hears of signals in the main one alone
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
