"""Imitate clock jumps during a run (by changing file times) and during a job (with libfaketime).

After the clock jumps forward by a day, all files seem a day older. For a run, file times are therefore changed instead
of the machine's clock, which other processes use too. For jumps between runs, see tests/pipeline/perturbations.py.
"""

import os
import time
from pathlib import Path

from tests.tools.faults.damaged_blocks import VOTES
from tests.tools.faults.outcomes import Fault, differences
from tests.tools.faults.runs import PATIENCE, jobs_of, wait_for_job

from segcert.provenance.records import read_record

DAY, YEAR = 86400, 365 * 86400
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
TOPS = ("data", "models", "results", "reports", ".snakemake", ".segcert")
JUMPS = {"forward by a year": YEAR, "back by a day": -DAY}
SCORES = "results/tiny/denoiser_scores/phantom.csv"


def clock_jumps(_base, plain, work, random, _count):
    """Let the clock jump during a run and, if libfaketime is installed, during a job."""
    faults = []
    for name, seconds in JUMPS.items():
        faults.append(within_a_run(plain, work, random, name, seconds))
        if FAKETIME:
            faults.append(within_jobs(plain, work, name, seconds))
    return faults


def jump(run, seconds):
    """Make all files older by a number of seconds, as if the clock had jumped forward."""
    names = [name for name in ("data.dvc", "models.dvc", "results.dvc") if (run.path / name).exists()]
    for path in (*(run.path / name for name in names), *(each for top in TOPS for each in (run.path / top).rglob("*"))):
        try:
            then = path.stat()
            os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns - seconds * 10**9))
        except FileNotFoundError:  # a job has just renamed the file
            continue


def within_a_run(plain, work, random, name, seconds):
    """Let the clock jump while votes, or files that depend on them, are made again."""
    fault, run = Fault(f"the clock jumps {name} in a run", []), plain.copy(work)
    arguments = ("--forcerun", "predict", "tables")
    process = run.start(*arguments)
    wait_for_job(process, set(), random.choice((1, 2, 3)))
    fault.stages = sorted(set(jobs_of(process).values())) or ["between jobs"]
    jump(run, seconds)
    said = "" if process.wait(PATIENCE) == 0 else "Snakemake said so; "
    if said and "clock skew" not in run.output:
        fault.wrong.append(f"no clear error: {run.output[-3000:]}")
    return fault.judge(differences(run, plain, run.resume(*arguments)), f"{said}resumed")


def within_jobs(plain, work, name, seconds):
    """Let the clock that a job sees jump while the job runs."""
    fault, run = Fault(f"the clock jumps {name} in a job", ["sample", "score_denoisers"]), plain.copy(work)
    stamp = run.path / ".segcert/clock"
    stamp.write_text("+0\n")
    run.environment |= dict.fromkeys(("FAKETIME_NO_CACHE", "NO_FAKE_STAT", "FAKETIME_DONT_FAKE_MONOTONIC"), "1")
    run.environment |= {"LD_PRELOAD": str(FAKETIME[-1]), "FAKETIME_TIMESTAMP_FILE": str(stamp)}
    for block in run.files(".segcert/blocks/*/*.npz"):
        block.unlink()
    process = run.start("--force", *VOTES, SCORES)
    wait_for_job(process, set(), 1)
    time.sleep(1)
    stamp.write_text(f"{seconds:+d}\n")
    said = "" if process.wait(PATIENCE) == 0 else "Snakemake said so; "
    run.environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    stamp.unlink()
    ended = run.resume(*VOTES, SCORES)
    for target in (*VOTES, SCORES):
        record = read_record(run.path / target)
        if not 0 < record["seconds"] < PATIENCE or record["ended"] < record["started"]:
            fault.wrong.append(f"{target}: took {record['seconds']} s, from {record['started']} to {record['ended']}")
    return fault.judge(differences(run, plain, ended), f"{said}resumed, durations right")
