"""Inject cluster faults, once while a training job runs and once while a sampling job runs."""

import dataclasses
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.checkout import wait_for
from tests.support.digests import differing
from tests.tools.slurm.cluster import Cluster, processes_of
from tests.tools.slurm.runs import made, run_on

CONFIGURATION = "tests/tools/slurm/faults.yaml"
MODEL = "models/segmenter/phantom/unet-clean"
VOTES = "results/faults/votes/phantom/unet-clean/none/sigma_0.5/shard_0.npz"
LOGS = {
    "train_segmenter": "logs/train/phantom/unet-clean.log",
    "sample": "logs/faults/sample/phantom/unet-clean/none/sigma_0.5/0.log",
}
BEGUN = {"train_segmenter": " of 1200", "sample": "sampling sigma 0.5: 1 of 3"}


def requeue(cluster: Cluster, job: str, _node: str) -> None:
    """Requeue the job, as happens after preemption or on an administrator's request."""
    cluster.command("scontrol", "requeue", job)
    cluster.hasten(job)


def cancel(cluster: Cluster, job: str, _node: str) -> None:
    """Cancel the job, as a user does."""
    cluster.command("scancel", job)


def out_of_time(cluster: Cluster, job: str, _node: str) -> None:
    """Let the job exceed its time limit. The shortest limit is a minute, so the job is paused until then."""
    cluster.command("scontrol", "update", f"jobid={job}", "timelimit=1")
    for process in processes_of(job):
        if any(".snakemake/scripts/" in argument for argument in process.cmdline()):
            process.send_signal(signal.SIGSTOP)  # SLURM sends SIGCONT before SIGTERM


def take_down(cluster: Cluster, job: str, node: str) -> None:
    """Set the job's node to the state "down", as an administrator would, and resume it."""
    cluster.command("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    cluster.hasten(job)
    wait_for(lambda: _resumed(cluster, node), "the node came back")


def _resumed(cluster: Cluster, node: str) -> bool:
    """Try to resume a node; return True on success. SLURM refuses this until the node's jobs have ended."""
    cluster.command("scontrol", "update", f"nodename={node}", "state=resume", check=False)
    return "down" not in _state(cluster, node)


def _state(cluster: Cluster, node: str) -> str:
    return cluster.command("sinfo", "--noheader", "--format=%t", f"--nodes={node}")


def lose(cluster: Cluster, job: str, node: str) -> None:
    """Kill the node's daemon and its job, as in a power cut. Restart the node after SLURM has noticed the loss."""
    running = processes_of(job)
    cluster.end(node, signal.SIGKILL)
    for process in running:
        process.kill()
    wait_for(lambda: "down" in _state(cluster, node), "the node was missed")
    cluster.hasten(job)
    cluster.start_node(node)


FAULTS: dict[str, Callable[[Cluster, str, str], None]] = {
    "requeued (scontrol requeue)": requeue,
    "cancelled (scancel)": cancel,
    "time limit": out_of_time,
    "node down (scontrol update state=down)": take_down,
    "node lost (kill -9 of slurmd and the job)": lose,
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A row of the fault table: the fault, the jobs into which it was injected, and the outcome."""

    fault: str
    jobs: list[str]
    finished: bool
    differing: list[str]
    said: set[str]
    seconds: float

    def __str__(self) -> str:
        files = "digests identical" if not self.differing else f"DIFFERENT: {', '.join(self.differing)}"
        said = "; ".join(sorted(self.said))
        outcome = f"{'finished' if self.finished else 'FAILED'}, {files}"
        return f"| {self.fault} | {', '.join(self.jobs)} | {outcome} | {said} | {self.seconds:.0f} s |"


def inject_fault(cluster: Cluster, fault: str, finished: Path, checkout: Path, *, limit: float = 900) -> Outcome:
    """Train the model and draw the votes on the cluster, in a copy of the finished checkout without these files.

    Inject the fault once into each of the two jobs. `limit` is the longest allowed run time in seconds.
    """
    shutil.copytree(finished, checkout, symlinks=True)
    for name in (MODEL, "results", ".segcert", "logs"):
        shutil.rmtree(checkout / name, ignore_errors=True)
    log, started, jobs, said = checkout.with_suffix(".log"), time.monotonic(), list[str](), set[str]()
    with run_on(cluster, checkout, VOTES, "--configfile", CONFIGURATION, log=log) as process:
        while process.poll() is None:
            assert time.monotonic() - started < limit, f"{fault}: no end; see {log}"
            for rule, path in LOGS.items():
                text = (checkout / path).read_text() if (checkout / path).exists() else ""
                said |= {
                    line.partition(" ")[2].replace(f"{checkout}/", "")
                    for line in text.splitlines()
                    if "interrupted by" in line or "resumes from" in line
                }
                if rule not in jobs and BEGUN[rule] in text:
                    job, node = next((job, node) for job, _, node, about in cluster.jobs("running") if rule in about)
                    FAULTS[fault](cluster, job, node)
                    jobs.append(rule)
            time.sleep(0.05)
    seconds = time.monotonic() - started
    if process.returncode:
        print(log.read_text(), file=sys.stderr)
    return Outcome(fault, jobs, process.returncode == 0, differing(made(finished), made(checkout)), said, seconds)
