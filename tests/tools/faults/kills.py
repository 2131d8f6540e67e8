"""Kill runs at random moments: all processes (power loss), one job (OOM killer), SIGTERM and Ctrl-C."""

import os
import signal
import time

from tests.support.checkout import kill, send
from tests.tools.faults.outcomes import Fault, differences, left_behind, made, say
from tests.tools.faults.runs import PATIENCE, jobs_of, wait_for_job

LONGEST = 8.0  # maximum seconds between the start of a job and the kill: longer than most jobs take


# Receiver, signal and relative frequency of each kind. Power loss leaves the most files behind, so it is the most
# frequent.
KINDS = {
    "SIGKILL to Snakemake and all jobs (power loss)": ("all", signal.SIGKILL, 5),
    "SIGKILL to one job (OOM killer)": ("one job", signal.SIGKILL, 3),
    "SIGTERM to Snakemake": ("Snakemake", signal.SIGTERM, 2),
    "SIGTERM to Snakemake and all jobs": ("all", signal.SIGTERM, 2),
    "SIGTERM to one job": ("one job", signal.SIGTERM, 1),
    "SIGINT to Snakemake and all jobs (Ctrl-C)": ("all", signal.SIGINT, 2),
}


def strike(process, random, receiver, number):
    """Send a signal to Snakemake, to one of its jobs, or to all processes. Raises IndexError if no job runs."""
    if receiver == "one job":
        send(random.choice(sorted(jobs_of(process), key=lambda job: job.pid)), number)
    elif receiver == "Snakemake":
        process.send_signal(number)
    elif number == signal.SIGKILL:
        kill(process)
    else:
        os.killpg(process.pid, number)


def kills(base, plain, work, random, count):
    """Start a run, then kill and resume it repeatedly. When it has ended, start a new one, until `count` kills."""
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
    """Resume a run and kill it at a random moment. Return the fault, or None if the run ended before that."""
    kind = random.choices(list(KINDS), [weight for _, _, weight in KINDS.values()])[0]
    receiver, number, _ = KINDS[kind]
    run.unlock()
    process, seen = run.start(), set()
    if not wait_for_job(process, seen, random.choice((1, 2, 3, 4))):
        return ended_before(kind, run, process)
    time.sleep(random.uniform(0, LONGEST))
    jobs = jobs_of(process)
    while not jobs and receiver == "one job" and process.poll() is None:  # wait until a job runs
        time.sleep(0.02)
        jobs = jobs_of(process)
    stages = sorted(set(jobs.values())) or ["between jobs"]
    if process.poll() is not None:
        return ended_before(kind, run, process)
    try:
        strike(process, random, receiver, number)
    except IndexError:  # the job has just ended
        process.wait(PATIENCE)
        return ended_before(kind, run, process)
    process.wait(PATIENCE)
    if process.returncode == 0:  # everything ended before the signal
        return None
    wrong = [f"half-written: {name}" for name, digest in made(run).items() if whole.get(name) != digest]
    said = "Snakemake said so; " if process.returncode > 0 and "rror" in run.output else ""
    return Fault(kind, stages, said, wrong)


def ended_before(kind, run, process):
    """Return None if a run succeeded before the kill, or a fault if the run failed without one."""
    return None if process.returncode == 0 else Fault(kind, [], wrong=[f"does not resume: {run.output[-3000:]}"])
