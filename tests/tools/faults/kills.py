"""Kills at random moments: everything at once (power loss), one job (OOM killer), SIGTERM and Ctrl-C."""

import os
import signal
import time

from tests.support.checkout import kill, send
from tests.tools.faults.outcomes import Fault, differences, left_behind, made, say
from tests.tools.faults.runs import PATIENCE, jobs_of, wait_for_job

LONGEST = 8.0  # seconds between the start of a job and the kill: longer than most jobs


def power_loss(process, _random):
    """Send SIGKILL to Snakemake and all its jobs at once."""
    kill(process)


def one_job(process, random):
    """Return one of the running jobs."""
    return random.choice(sorted(jobs_of(process), key=lambda job: job.pid))


def out_of_memory(process, random):
    """Send SIGKILL to one job."""
    send(one_job(process, random), signal.SIGKILL)


def job_terminated(process, random):
    """Send SIGTERM to one job."""
    send(one_job(process, random), signal.SIGTERM)


def terminated(process, _random):
    """Send SIGTERM to Snakemake, which lets running jobs finish."""
    process.terminate()


def group_terminated(process, _random):
    """Send SIGTERM to Snakemake and all its jobs, as a machine does when it shuts down."""
    os.killpg(process.pid, signal.SIGTERM)


def ctrl_c(process, _random):
    """Send SIGINT to Snakemake and all its jobs."""
    os.killpg(process.pid, signal.SIGINT)


KINDS = {
    "SIGKILL to Snakemake and all jobs (power loss)": power_loss,
    "SIGKILL to one job (OOM killer)": out_of_memory,
    "SIGTERM to Snakemake": terminated,
    "SIGTERM to Snakemake and all jobs": group_terminated,
    "SIGTERM to one job": job_terminated,
    "SIGINT to Snakemake and all jobs (Ctrl-C)": ctrl_c,
}
# Power loss leaves the most behind, so it is the most frequent kind
WEIGHTS = (5, 3, 2, 2, 1, 2)
OF_ONE_JOB = (out_of_memory, job_terminated)


def kills(base, plain, work, random, count):
    """Start a run, kill it, resume it, kill it again, ... until there are `count` kills; start new runs as needed."""
    whole, faults = made(plain), []
    while len(faults) < count:
        run, run_faults = base.copy(work), []
        while len(faults) + len(run_faults) < count:
            fault = interrupted(run, whole, random)
            if fault is None:
                break
            say(fault)
            run_faults.append(fault)
        wrong = differences(run, plain, run.resume())
        for fault in run_faults:
            fault.judge(wrong, f"{fault.outcome}resumed")
        say(f"run ended after {len(run_faults)} kills: {wrong or 'equal'}; left behind: {left_behind(run)}")
        faults += run_faults
    return faults


def interrupted(run, whole, random):
    """Resume a run and kill it at a random moment; return None if it ended before."""
    kind = random.choices(list(KINDS), WEIGHTS)[0]
    run.unlock()
    process, seen = run.start(), set()
    if not wait_for_job(process, seen, random.choice((1, 2, 3, 4))):
        return ended_before(kind, run, process)
    time.sleep(random.uniform(0, LONGEST))
    jobs = jobs_of(process)
    while not jobs and KINDS[kind] in OF_ONE_JOB and process.poll() is None:  # no job runs at this moment
        time.sleep(0.02)
        jobs = jobs_of(process)
    stages = sorted(set(jobs.values())) or ["between jobs"]
    if process.poll() is not None:
        return ended_before(kind, run, process)
    try:
        KINDS[kind](process, random)
    except IndexError:  # the job ended at this very moment
        process.wait(PATIENCE)
        return ended_before(kind, run, process)
    process.wait(PATIENCE)
    if process.returncode == 0:  # everything ended before the signal
        return None
    wrong = [f"half-written: {name}" for name, digest in made(run).items() if whole.get(name) != digest]
    said = "Snakemake said so; " if process.returncode > 0 and "rror" in run.output else ""
    return Fault(kind, stages, said, wrong)


def ended_before(kind, run, process):
    """Return None if a run succeeded before it could be killed, a fault if it failed by itself."""
    return None if process.returncode == 0 else Fault(kind, [], wrong=[f"does not resume: {run.output[-3000:]}"])
