"""Run records: what a job read, ran and made, in a JSON file beside its first output."""

import contextlib
import datetime
import importlib.metadata
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from segcert.progress import log, log_to
from segcert.provenance.atomic import atomic_file
from segcert.provenance.digests import file_digest

SUFFIX = ".record.json"


@contextlib.contextmanager
def recorded(job: Any) -> Iterator[dict[str, Any]]:
    """Run the block as the work of one Snakemake job and leave its run record beside the first output.

    Parameters
    ----------
    job
        The `snakemake` object of a script: rule, wildcards, params, input, output, threads, log.

    Yields
    ------
    A dictionary for what only the block can know (the device it ran on, say); it goes into the record.
    """
    if job.log:
        Path(job.log[0]).unlink(missing_ok=True)
        log_to(job.log[0])
    start = psutil.Process().create_time()  # not now: loading the libraries is part of the job
    found: dict[str, Any] = {}
    try:
        yield found
    except Exception as error:
        log.exception("rule %s failed", job.rule)
        raise SystemExit(f"segcert: rule {job.rule}: {error}") from error
    record = {
        "rule": job.rule,
        "wildcards": dict(job.wildcards.items()),
        "params": dict(job.params.items()),
        "inputs": {path: file_digest(path) for path in sorted(set(map(str, job.input)))},
        "outputs": {path: file_digest(path) for path in sorted(set(map(str, job.output)))},
        "threads": job.threads,
        **found,
        "git": git_state(),
        "packages": imported_packages(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "started": datetime.datetime.fromtimestamp(start, datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - start, 2),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    with atomic_file(record_path(job.output[0])) as path:
        path.write_text(json.dumps(record, indent=2, default=str) + "\n")


def record_path(artifact: str | Path) -> Path:
    """Where the run record of an artifact stands."""
    return Path(f"{artifact}{SUFFIX}")


def read_record(artifact: str | Path) -> dict[str, Any]:
    """The run record of an artifact; empty if it has none."""
    path = record_path(artifact)
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return record


def git_state() -> dict[str, Any]:
    """The commit that is checked out here and whether the tree is clean; None for both where no checkout is."""
    try:
        if Path(_git("rev-parse", "--show-toplevel")) != Path.cwd().resolve():  # an archive within another checkout
            return {"commit": None, "clean": None}
        commit = _git("rev-parse", "HEAD")
        changed = _git(
            "status", "--porcelain", "--untracked-files=no", "--", ":!*.dvc"
        )  # the run writes pointers itself
        return {"commit": commit, "clean": not changed}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "clean": None}


def imported_packages() -> dict[str, str]:
    """Name and version of every installed package that this process has imported."""
    distributions = importlib.metadata.packages_distributions()
    imported = {distribution for name in list(sys.modules) for distribution in distributions.get(name, ())}
    return {name.lower(): importlib.metadata.version(name) for name in sorted(imported)}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()
