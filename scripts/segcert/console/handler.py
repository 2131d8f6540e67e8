"""Log handler that shows a run in place of Snakemake's own output. Snakemake still writes its log file.

The handler is not a logger plugin, because Snakemake refuses a profile with a plugin that is not installed, and segcert
need not be installed. The rules set the handler up instead.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, TextIO

import psutil
from tqdm import tqdm

from segcert.console.run_lines import RunLines, without_frame

BAR = "{n_fmt}/{total_fmt} {bar:20} {elapsed} {desc}"
SHELLS = {"bash", "dash", "sh"}  # a job's shell runs until the job has ended
SNAKEMAKES = "DefaultStreamHandler"  # name of Snakemake's handler that writes to the terminal


class Screen:
    """Screen that shows a run. On a terminal, it shows lines above a progress bar; on a pipe, it shows only lines.

    Output that jobs write to the terminal is shown above the bar too, line by line.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.bar: tqdm[Any] | None = None
        self.muted = False  # True while jobs are being stopped
        self._relays: list[Relay] = []
        # Terminals of CI systems and editors may be unable to show a bar
        self.terminal = stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")

    def write(self, line: str) -> None:
        """Write a line, above the progress bar if there is one."""
        if self.bar is None:
            print(line, file=self.stream, flush=True)
        else:
            tqdm.write(line, file=self.stream)

    def show_bar(self, done: int, total: int | None, doing: str) -> None:
        """Draw the progress bar if the stream is a terminal."""
        if not self.terminal:
            return
        if self.bar is None:
            self._relays = [Relay(name, self) for name in ("stdout", "stderr") if getattr(sys, name).isatty()]
            self.stream = sys.stderr
            self.bar = tqdm(total=total, file=self.stream, dynamic_ncols=True, leave=False, bar_format=BAR)
        if (self.bar.n, self.bar.desc) != (done, doing):
            self.bar.n = done
            self.bar.set_description_str(doing)

    def hide_bar(self) -> None:
        """Remove the progress bar. Lines can still be written."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def close(self) -> None:
        """Remove the progress bar, and let child processes write to the terminal again."""
        self.hide_bar()
        for relay in self._relays:
            relay.close()
        self._relays = []


class Relay:
    """Relay that takes the lines that child processes write to stdout or stderr, and shows them on the screen.

    Because child processes write to a pipe, not to a terminal, they draw no bars. This process still writes to the
    terminal.
    """

    def __init__(self, name: str, screen: Screen) -> None:
        stream = getattr(sys, name)
        stream.flush()
        self.descriptor = stream.fileno()
        self.terminal = os.dup(self.descriptor)
        reading, writing = os.pipe()
        os.dup2(writing, self.descriptor)
        os.close(writing)
        setattr(sys, name, open(self.terminal, "w", buffering=1, encoding=stream.encoding, errors="replace"))  # noqa: SIM115
        self._thread = threading.Thread(target=self._relay, args=(reading, screen), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let later child processes write to the terminal.

        The method waits at most a second for the output of the child processes that are running.
        """
        os.dup2(self.terminal, self.descriptor)
        self._thread.join(timeout=1)

    @staticmethod
    def _relay(reading: int, screen: Screen) -> None:
        with open(reading, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("Traceback"):
                    time.sleep(0.2)  # Ctrl-C reaches a job before this process handles it
                if not screen.muted:
                    screen.write(line.rstrip("\n"))


class RunHandler(logging.Handler):
    """Handler that shows the records of Snakemake's log: a line per finished job, above a progress bar."""

    def __init__(self, lines: RunLines, screen: Screen) -> None:
        super().__init__()
        self.lines, self.screen = lines, screen

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record of Snakemake's log."""
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
        """Hide the output and failures of running jobs from now on, because these jobs are being stopped."""
        self.lines.interrupted = self.screen.muted = True

    def close(self) -> None:
        """Close the screen and this handler."""
        self.screen.close()
        super().close()


class PlainErrors(logging.Formatter):
    """Formatter that removes the location in segcert's rules from configuration errors.

    The text to shorten comes from the formatter `inner`.
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self.inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a log record."""
        text = self.inner.format(record)
        return without_frame(text) if getattr(record, "event", None) == "error" else text


def verbose() -> bool:
    """Return True if the environment variable VERBOSE (`VERBOSE=1`) requests Snakemake's own output."""
    return os.environ.get("VERBOSE", "0") not in ("", "0")


def show_run(
    logger: logging.Logger, settings: Any, log: str | None, is_target: Callable[[str], bool], local: Callable[[], bool]
) -> None:
    """Show a line per job of this run, unless it is a dry run or the command line requests Snakemake's own output.

    Ctrl-C prints one line instead of a traceback, even during a dry run.

    Parameters
    ----------
    logger, settings
        Snakemake's logger and its output settings.
    log, is_target
        Arguments of `RunLines`: path of Snakemake's log, and function that recognises rules that run nothing.
    local
        Function that returns True if jobs run on this machine.
    """
    handler = next((each for each in logger.handlers if each.name == SNAKEMAKES), None)
    asked = settings.verbose or settings.debug_dag or settings.printshellcmds
    if handler is None or asked or verbose():  # None: the user chose a different logger
        return
    sys.excepthook = _without_traceback
    quiet = {str(each).rpartition(".")[2].lower() for each in settings.quiet or ()} - {"host"}
    if settings.dryrun or quiet:
        if handler.formatter:
            handler.setFormatter(PlainErrors(handler.formatter))
        return
    logger.removeHandler(handler)
    shown = RunHandler(RunLines(log, is_target), Screen(getattr(handler, "stream")))  # noqa: B009
    logger.addHandler(shown)
    stop_jobs_at_ctrl_c(local, begun=shown.interrupt)


def stop_jobs_at_ctrl_c(local: Callable[[], bool], begun: Callable[[], None]) -> None:
    """Make Ctrl-C stop this machine's jobs and then Snakemake, as SIGTERM does; a second Ctrl-C aborts Snakemake.

    By default, Snakemake would abort its event loop, print a hundred-line traceback, and leave the jobs running.

    Parameters
    ----------
    local
        Function that returns True if jobs run on this machine. Snakemake itself cancels jobs on a cluster.
    begun
        Function to call before the jobs are stopped. It must not print or write to a file, because it may interrupt
        any code.
    """

    def interrupted(_number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop = signal.getsignal(signal.SIGTERM)  # set by Snakemake's scheduler when it starts
        if not callable(stop) or not local():
            raise KeyboardInterrupt
        begun()
        # In a thread, because `stop` waits for a lock that the interrupted code may hold
        threading.Thread(target=_stop_jobs, args=(lambda: stop(signal.SIGTERM, frame),), daemon=True).start()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupted)


def _stop_jobs(stop: Callable[[], object]) -> None:
    """Start no more jobs, and send SIGTERM to each process of the running jobs.

    Processes that are still starting get the signal too.
    """
    stop()
    stopped = set()
    while True:
        for process in psutil.Process().children(recursive=True):
            try:
                if process.pid not in stopped and process.name() not in SHELLS:
                    process.terminate()
                    stopped.add(process.pid)
            except psutil.Error:  # the process has ended
                continue
        time.sleep(0.2)


def _without_traceback(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("Interrupted. To resume, run the same command again.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)
