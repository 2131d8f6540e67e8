"""The handler that shows a run in place of Snakemake's own log, which is still written to its file.

Not a logger plugin: Snakemake refuses a profile that names one which is not installed, in each of its processes, and
segcert need not be installed. Set up from the Snakefile it is found wherever the rules are.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

import psutil

from segcert.console.run_lines import RunLines, without_frame
from segcert.console.screen import Screen

SHELLS = {"bash", "dash", "sh"}  # a job's shell stays until the job has ended
SNAKEMAKES = "DefaultStreamHandler"  # its name of the handler that writes to the terminal


class RunHandler(logging.Handler):
    """Shows the records of Snakemake's log by a line per finished job, above a bar."""

    def __init__(self, lines: RunLines, screen: Screen) -> None:
        super().__init__()
        self.lines, self.screen = lines, screen

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        try:
            shown = self.lines.read(record)
            if self.lines.ended:
                self.screen.hide_bar()
            elif self.lines.total:
                self.screen.show_bar(self.lines.done, self.lines.total, self.lines.stages)
            for line in shown:
                self.screen.write(line)
        except Exception:
            self.handleError(record)

    def interrupt(self) -> None:
        """Note that the jobs that run are being ended: what they say, and that they fail, is no news."""
        self.lines.interrupted = self.screen.muted = True

    def close(self) -> None:
        """Give the terminal back."""
        self.screen.close()
        super().close()


class PlainErrors(logging.Formatter):
    """Snakemake's own formatter, but for the frame around errors of the configuration."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self.inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        text = self.inner.format(record)
        return without_frame(text) if getattr(record, "event", None) == "error" else text


def verbose() -> bool:
    """True if `VERBOSE=1` asks for Snakemake's own output."""
    return os.environ.get("VERBOSE", "0") not in ("", "0")


def show_run(
    logger: logging.Logger, settings: Any, log: str | None, is_target: Callable[[str], bool], local: Callable[[], bool]
) -> None:
    """Show this run by a line per job, unless it is a plan, or the command line asks for something of Snakemake's.

    Parameters
    ----------
    logger, settings
        Snakemake's logger and its output settings.
    log, is_target
        See `RunLines`.
    local
        See `end_jobs_at_ctrl_c`.
    """
    handler = next((each for each in logger.handlers if each.name == SNAKEMAKES), None)
    asked = settings.verbose or settings.debug_dag or settings.printshellcmds
    if handler is None or asked or verbose():  # None: another logger was chosen
        return
    quiet = {str(each).rpartition(".")[2].lower() for each in settings.quiet or ()} - {"host"}
    if settings.dryrun or quiet:
        if handler.formatter:
            handler.setFormatter(PlainErrors(handler.formatter))
        return
    logger.removeHandler(handler)
    shown = RunHandler(RunLines(log, is_target), Screen(getattr(handler, "stream")))  # noqa: B009
    logger.addHandler(shown)
    end_jobs_at_ctrl_c(local, begun=shown.interrupt)


def end_jobs_at_ctrl_c(local: Callable[[], bool], begun: Callable[[], None]) -> None:
    """At Ctrl-C ask the jobs of this machine to end and stop as after SIGTERM; at a second one stop at once.

    Snakemake's own way breaks off its event loop, prints a traceback of a hundred lines, and lets the jobs run on.

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
