"""Killed: everything at once (power loss), one job (the OOM killer), by SIGTERM and by Ctrl-C, at random moments."""

import os
import signal
import time

from tests.support.checkout import kill, send
from tests.tools.faults.outcomes import Fault, differences, left_behind, made, say
from tests.tools.faults.runs import PATIENCE, jobs_of, wait_for_job

LONGEST = 8.0  # seconds between the beginning of a job and the kill: more than most jobs take


def power_loss(process, _random):
    """SIGKILL to Snakemake and all its jobs at once."""
    kill(process)


def one_job(process, random):
    """One of the jobs that run."""
    return random.choice(sorted(jobs_of(process), key=lambda job: job.pid))


def out_of_memory(process, random):
    """SIGKILL to one job."""
    send(one_job(process, random), signal.SIGKILL)


def job_terminated(process, random):
    """SIGTERM to one job."""
    send(one_job(process, random), signal.SIGTERM)


def terminated(process, _random):
    """SIGTERM to Snakemake, which lets running jobs end."""
    process.terminate()


def group_terminated(process, _random):
    """SIGTERM to Snakemake and all its jobs, as a machine that shuts down sends it."""
    os.killpg(process.pid, signal.SIGTERM)


def ctrl_c(process, _random):
    """SIGINT to Snakemake and all its jobs."""
    os.killpg(process.pid, signal.SIGINT)


KINDS = {
    "SIGKILL to Snakemake and all jobs (power loss)": power_loss,
    "SIGKILL to one job (OOM killer)": out_of_memory,
    "SIGTERM to Snakemake": terminated,
    "SIGTERM to Snakemake and all jobs": group_terminated,
    "SIGTERM to one job": job_terminated,
    "SIGINT to Snakemake and all jobs (Ctrl-C)": ctrl_c,
}
# Power loss leaves the most behind, so it is the most frequent
WEIGHTS = (5, 3, 2, 2, 1, 2)
OF_ONE_JOB = (out_of_memory, job_terminated)


def kills(base, plain, work, random, count):
    """Start the run, kill it, go on, kill again, ... until `count` kills have met it; new runs as long as it takes."""
    whole, faults = made(plain), []
    while len(faults) < count:
        run, of_this_run = base.copy(work), []
        while len(faults) + len(of_this_run) < count:
            fault = interrupted(run, whole, random)
            if fault is None:
                break
            say(fault)
            of_this_run.append(fault)
        wrong = differences(run, plain, run.go_on())
        for fault in of_this_run:
            fault.judge(wrong, f"{fault.outcome}went on")
        say(f"run ended after {len(of_this_run)} kills: {wrong or 'equal'}; left behind: {left_behind(run)}")
        faults += of_this_run
    return faults


def interrupted(run, whole, random):
    """Go on with a run and kill it at a random moment; None if it ended before that."""
    kind = random.choices(list(KINDS), WEIGHTS)[0]
    run.unlock()
    process, seen = run.start(), set()
    if not wait_for_job(process, seen, random.choice((1, 2, 3, 4))):
        return ended_before(kind, run, process)
    time.sleep(random.uniform(0, LONGEST))
    jobs = jobs_of(process)
    while not jobs and KINDS[kind] in OF_ONE_JOB and process.poll() is None:  # between two jobs
        time.sleep(0.02)
        jobs = jobs_of(process)
    stages = sorted(set(jobs.values())) or ["between jobs"]
    if process.poll() is not None:
        return ended_before(kind, run, process)
    try:
        KINDS[kind](process, random)
    except IndexError:  # the job ended in this very moment
        process.wait(PATIENCE)
        return ended_before(kind, run, process)
    process.wait(PATIENCE)
    if process.returncode == 0:  # nothing was left to be killed
        return None
    wrong = [f"half-written: {name}" for name, digest in made(run).items() if whole.get(name) != digest]
    said = "Snakemake said so; " if process.returncode > 0 and "rror" in run.output else ""
    return Fault(kind, stages, said, wrong)


def ended_before(kind, run, process):
    """None where a run ended well before it could be killed; a fault where it failed by itself."""
    return None if process.returncode == 0 else Fault(kind, [], wrong=[f"does not go on: {run.output[-3000:]}"])
