"""Run a script's code as a Snakemake job, and write the job's run record."""

import contextlib
import datetime
import json
import platform
import resource
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from segcert.io.atomic import atomic_file
from segcert.io.interruption import Interrupted, interruptible
from segcert.io.progress import log, log_to
from segcert.provenance.code import syntax_digest
from segcert.provenance.digests import DigestCache, file_digest, load_value
from segcert.provenance.environment import LOCKS, imported_packages
from segcert.provenance.records import FORMAT, SUFFIX, RecordError, load_record, record_path
from segcert.provenance.storage import rename, run_git_state

DRIVER, CPU = Path("/proc/driver/nvidia/version"), Path("/proc/cpuinfo")


@contextlib.contextmanager
def recorded(job: Any) -> Iterator[dict[str, Any]]:
    """Run the `with` block as a Snakemake job, and write the job's run record next to its first output.

    The record of a failed job is written next to the job's log. SIGTERM ends the block and is logged.

    Parameters
    ----------
    job
        The `snakemake` object of a script. Its attributes `rule`, `wildcards`, `params`, `input`, `output`, `threads`,
        `log` and `scriptdir` are used.

    Yields
    ------
    dict
        Dictionary that the block may fill with entries for the record. `device` is the hardware that the block ran on.
        `holds` contains the files that the block made although the rule does not declare them. It maps the path of each
        file to its SHA-256.

    Raises
    ------
    SystemExit
        If the block fails or is interrupted.
    """
    sidecars = rename(job)
    if job.log:
        Path(job.log[0]).unlink(missing_ok=True)
        log_to(job.log[0])
    failure = record_path(job.log[0]) if job.log else None
    # The job's time is measured from the start of its process, so that it includes loading the libraries. `start` is
    # read from the system clock. `began` is read from the monotonic clock, because the system clock may jump.
    start = psutil.Process().create_time()
    began = time.monotonic() - max(0.0, time.time() - start)
    digests = DigestCache()
    record = {
        "format": FORMAT,
        "rule": job.rule,
        "wildcards": dict(job.wildcards.items()),
        "params": dict(job.params.items()),
        "seed": job.params.get("seed"),
        "threads": job.threads,
        "code": load_value(job.params.get("code")) or {},
        "environment": load_value(job.params.get("environment")) or {},
        "locks": {lock: file_digest(lock) for lock in LOCKS if Path(lock).exists()},
        "git": run_git_state(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "started": datetime.datetime.fromtimestamp(start, datetime.UTC).isoformat(timespec="seconds"),
    }
    found: dict[str, Any] = {}
    try:
        sidecars.unpack(list(job.input))
        for name, digest in record["code"].items():  # the record must describe the code that runs
            script = Path(job.scriptdir, name)
            if not script.exists() or syntax_digest(script.read_bytes(), name) != digest:
                raise RecordError(f"scripts/{name}: changed after this run was planned; run snakemake again")
        record["inputs"] = {path: digests.digest(path) for path in map(str, job.input)}
        with interruptible():
            yield found
    except Interrupted as stop:
        log.warning("rule %s: interrupted by %s; run snakemake again unless the cluster restarts it", job.rule, stop)
        raise SystemExit(f"segcert: rule {job.rule}: interrupted by {stop}") from stop
    except Exception as error:
        log.exception("rule %s failed", job.rule)
        if failure:
            with contextlib.suppress(OSError):  # the disk may be full, which may have caused the error
                _write(
                    failure,
                    record | found | _closing_fields(start, began) | {"exit": "failed", "error": str(error)},
                )
        raise SystemExit(f"segcert: rule {job.rule}: {error}") from error
    sidecars.pack(found.get("holds", {}))
    outputs = {path: digests.digest(path) for path in map(str, job.output)}
    driver = DRIVER.read_text().splitlines()[0] if DRIVER.exists() and "cpu" not in found.get("device", "cpu") else None
    _write(
        record_path(job.output[0]),
        record | {"outputs": outputs, "driver": driver} | found | _closing_fields(start, began) | {"exit": "finished"},
    )
    _delete_superseded(job, outputs)
    if failure:
        failure.unlink(missing_ok=True)


def _delete_superseded(job: Any, outputs: Mapping[str, str]) -> None:
    """Delete run records of earlier jobs that made some of these outputs, for example for other noise levels."""
    # Jobs that make the same file have the same rule and wildcards, and Snakemake requires all wildcards in the path of
    # every output. A folder may contain many shards, so only records whose path contains all wildcard values are read.
    own, fixed = record_path(job.output[0]), [value for _, value in job.wildcards.items()]
    for folder in {Path(name).parent for name in outputs}:
        for path in folder.glob(f"*{SUFFIX}"):
            if path == own or not all(value in str(path) for value in fixed):
                continue
            with contextlib.suppress(RecordError):
                if not outputs.keys().isdisjoint(load_record(path)["outputs"]):
                    path.unlink(missing_ok=True)


def processor() -> str:
    """Return the model of this machine's processor, because the rounding of sums may depend on the processor."""
    lines = CPU.read_text().splitlines() if CPU.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def _closing_fields(start: float, began: float) -> dict[str, Any]:
    """Return the record fields that are known when a job ends.

    `start` and `began` are the job's start time by the system clock and by the monotonic clock.
    """
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = time.monotonic() - began
    return {
        "packages": imported_packages(),
        "ended": datetime.datetime.fromtimestamp(start + seconds, datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 2),
        "peak_memory_mib": round(peak / 1024),
    }


def _write(path: Path, record: Mapping[str, Any]) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, default=str) + "\n")
