"""Lines that show a run's progress, with one line per finished job.

The lines are made from the records of Snakemake's log.
"""

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segcert.io.progress import printable

TAIL = 15  # number of lines of a failed job's log to show
TAIL_BYTES = 1 << 16
# Log messages that have no event and do not help users. All other messages are shown, so that none is lost.
NOISE = re.compile(
    r"Assuming unrestricted shared|Building DAG|Using shell|Select jobs|Conda environments: ignored|"
    r"Singularity containers: ignored|Group jobs: inactive|Shutting down|Complete log|Elapsed time|"
    r"Exiting because a job|WorkflowError:\nAt least one job"
)
INTERRUPTED = ("Terminating processes", "Will exit after finishing")
SILENT = {"workflow_started", "resources_info", "job_started", "shellcmd", "group_info", "rulegraph", "debug_dag"}
RETRY = re.compile(r"Trying to restart job (\d+)\.")
FRAME = re.compile(r'WorkflowError in file ".*", line \d+:\n|\n  File ".*", line \d+, in <module>$')


@dataclass
class Job:
    """A job as shown to the user. `begun` is the time of the job's first log record, in seconds."""

    stage: str
    item: str
    begun: float

    @property
    def name(self) -> str:
        """The job's stage and wildcard values, as text."""
        return f"{self.stage} {self.item}".strip()


@dataclass
class RunLines:
    """State of a run, according to its log records.

    Parameters
    ----------
    log
        Path of Snakemake's complete log, or None.
    is_target
        Function that returns True for a rule that only requests files, such as `all`. Such rules run nothing and are
        not counted.
    """

    log: str | None
    is_target: Callable[[str], bool]
    total: int | None = None
    done: int = 0
    ended: bool = False
    running: dict[int, Job] = field(default_factory=dict)
    failed: dict[int, Job] = field(default_factory=dict)
    width: int = 0  # length of the longest stage name
    begun: float = 0.0
    interrupted: bool = False  # True while running jobs are being stopped

    def read(self, record: logging.LogRecord) -> list[str]:
        """Read a log record and return the lines to show for it."""
        event = str(getattr(record, "event", None) or "")
        reader: Callable[[Any], list[str]] | None = getattr(self, f"_{event}", None)
        if reader:
            return reader(record)
        return [] if event in SILENT else self._message(record)

    @property
    def stages(self) -> str:
        """Names of the stages that have running jobs, without duplicates."""
        return ", ".join(dict.fromkeys(job.stage for job in self.running.values()))

    def _run_info(self, record: Any) -> list[str]:
        counts = {rule: count for rule, count in record.stats.items() if rule != "total" and not self.is_target(rule)}
        self.total, self.begun = sum(counts.values()), record.created
        self.width = max(map(len, counts), default=0)
        jobs = "1 job" if self.total == 1 else f"{self.total} jobs"
        return [f"{jobs} to run." + (f" Snakemake's log: {self.log}" if self.log else "")]

    def _job_info(self, record: Any) -> list[str]:
        if not self.is_target(record.rule_name):
            stage, item = record.rule_name.replace("_", " "), item_of(record.wildcards)
            self.running[record.jobid] = Job(stage, item, record.created)
        return []

    def _job_finished(self, record: Any) -> list[str]:
        job = self.running.pop(record.job_id, None)
        if job is None:
            return []
        self.done += 1
        total = "?" if self.total is None else str(self.total)
        seconds = f"{record.created - job.begun:.1f} s"
        return [f"{self.done:>{len(total)}}/{total} {seconds:>9}  {job.stage:<{self.width}}  {job.item}".rstrip()]

    def _progress(self, record: Any) -> list[str]:
        if record.done < record.total:
            return []
        self.ended = True
        return [f"Finished in {record.created - self.begun:.0f} s."]

    def _job_error(self, record: Any) -> list[str]:
        if record.indent or self.interrupted:  # `indent` marks a job of a group; the group's error names it
            return []
        unknown = Job(record.rule_name.replace("_", " "), "", record.created)
        job = self.failed[record.jobid] = self.running.pop(record.jobid, unknown)
        lines = [f"FAILED: {job.name}, after {record.created - job.begun:.1f} s"]
        for log in record.log:  # the rule's log and, on a cluster, the executor's log
            lines += tail(log)
        return lines

    def _group_error(self, record: Any) -> list[str]:
        jobs = {}
        for info in record.job_error_info:
            unknown = Job(info["rule_name"].replace("_", " "), "", record.created)
            jobs[info["jobid"]] = self.running.pop(info["jobid"], unknown)
        self.failed |= jobs
        lines = [f"FAILED: a job in a group of {len(jobs)}: {names(jobs.values())}"]
        logs = [log for info in record.job_error_info for log in info["log"]]
        for log in [*record.aux_logs, *filter(os.path.exists, logs)]:  # jobs after the failed job have no log
            lines += tail(log)
        return lines

    def _error(self, record: Any) -> list[str]:
        text = record.getMessage()
        if getattr(record, "exception", "") == "RuleException" and "CalledProcessError" in text:
            return []  # the screen and the job's log already show the job's message, and a job_error follows
        return self._message(record)

    def _message(self, record: logging.LogRecord) -> list[str]:
        text = record.getMessage() if record.msg else ""
        if retried := RETRY.match(text):
            again = self.failed.pop(int(retried[1]), None)
            return [f"Retrying: {again.name}"] if again else [text]
        if text.startswith(INTERRUPTED) and (self.interrupted or text.startswith("Terminating")):
            said, self.ended = self.ended, True
            return [] if said else ["Interrupted: stopping the running jobs."]
        if text.startswith("Exiting because a job"):
            self.ended = True
            if len(self.failed) > 1:
                return [f"{len(self.failed)} jobs failed: {names(self.failed.values())}"]
        return [] if not text or NOISE.match(text) else without_frame(printable(text)).splitlines()


def names(jobs: Iterable[Job]) -> str:
    """Return the names of jobs, on one line."""
    return "; ".join(job.name for job in jobs)


def item_of(wildcards: Mapping[str, Any] | None) -> str:
    """Return the values of a job's wildcards as text. A value that begins with a digit follows its name."""
    values = []
    for name, value in (wildcards or {}).items():
        text = printable(str(value)).replace("\n", "\\n")
        values.append(f"{name} {text}" if text[:1].isdigit() else text)
    return " ".join(values)


def tail(log: str) -> list[str]:
    """Return the last lines of a job's log, indented below the path of the log."""
    path = Path(log)
    if not path.is_file():
        return [f"  log of the job, {log}: not on this machine"]
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = printable(file.read().decode(errors="replace")).splitlines()
    if not lines:
        return [f"  log of the job, {log}: empty"]
    whole = f"log of the job, {log}:" if len(lines) <= TAIL else f"end of the job's log, {log}:"
    return [f"  {whole}", *(f"    {line}" for line in lines[-TAIL:])]


def without_frame(text: str) -> str:
    """Return the text of a WorkflowError without the location in segcert's rules, which does not help users."""
    return FRAME.sub("", text)
