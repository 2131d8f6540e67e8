"""The handler that shows a run in place of Snakemake's own log, which is still written to its file.

Not a logger plugin: Snakemake refuses a profile that names one which is not installed, in each of its processes, and
segcert need not be installed. Set up from the Snakefile it is found wherever the rules are.
"""

import logging
import os
from collections.abc import Callable
from typing import Any

from segcert.console.interrupt import end_jobs_at_ctrl_c
from segcert.console.run_lines import RunLines, without_frame
from segcert.console.screen import Screen

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
    logger: logging.Logger,
    settings: Any,
    log: str | None,
    is_target: Callable[[str], bool],
    local: Callable[[], bool],
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
