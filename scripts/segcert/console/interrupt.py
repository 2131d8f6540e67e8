"""Ctrl-C: the jobs that run on this machine are asked to end, and Snakemake ends as after SIGTERM.

Its own way breaks off its event loop, which prints a traceback of a hundred lines, and lets the jobs run on.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType

import psutil

SHELLS = {"bash", "dash", "sh"}  # a job's shell stays until the job has ended


def end_jobs_at_ctrl_c(local: Callable[[], bool], begun: Callable[[], None]) -> None:
    """At Ctrl-C end the jobs of this process and stop; at a second one at once.

    Parameters
    ----------
    local
        Tells if jobs run on this machine. Those of a cluster Snakemake cancels itself.
    begun
        Called when jobs begin to be ended. It must not write: it runs in the midst of anything.
    """

    def interrupted(_number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop = signal.getsignal(signal.SIGTERM)  # of Snakemake's scheduler, once there is one
        if not callable(stop) or not local():
            raise KeyboardInterrupt
        begun()
        # In a thread: it waits for a lock that the interrupted code may hold.
        threading.Thread(target=_end_jobs, args=(lambda: stop(signal.SIGTERM, frame),), daemon=True).start()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupted)
        sys.excepthook = _without_traceback


def _end_jobs(stop: Callable[[], object]) -> None:
    """Start no more jobs; send SIGTERM to each process of those that run, also to one that is just being started."""
    stop()
    told = set()
    while True:
        for process in psutil.Process().children(recursive=True):
            try:
                if process.pid not in told and process.name() not in SHELLS:
                    process.terminate()
                    told.add(process.pid)
            except psutil.Error:  # it has ended
                continue
        time.sleep(0.2)


def _without_traceback(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("Interrupted. The same command goes on.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)
