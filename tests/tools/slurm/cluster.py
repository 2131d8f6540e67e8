"""Start a SLURM cluster with two nodes on the loopback interface. It needs Debian's packages slurm-wlm and munge.

The cluster has no accounting, writes only to one folder, and uses free ports. Its daemons run as the user who starts
it.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
from tests.support.checkout import wait_for
from tests.system.storage.stores import free_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
NODES = ("node1", "node2")
CONFIGURATION = """\
ClusterName=segcert
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=1,sched_interval=1,sched_min_interval=0
JobRequeue=1
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
# Times in seconds. MinJobAge is SLURM's default, five minutes: until then, squeue lists finished jobs
MinJobAge=300
KillWait={kill_wait}
SlurmctldTimeout=10
SlurmdTimeout=10
InactiveLimit=0
MessageTimeout=10
OverTimeLimit=0
"""


class Cluster:
    """A running cluster: the environment variables that SLURM's commands need to find it, and its daemons by name."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def command(self, *arguments: str, check: bool = True) -> str:
        """Run a SLURM command; return its output."""
        done = subprocess.run(arguments, env=self.environment, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def jobs(self, state: str = "all") -> list[tuple[str, str, str, str]]:
        """Return the id, state, node and comment of each job. The comment contains the rule and the wildcards."""
        listed = self.command("squeue", "--noheader", f"--states={state}", "--format=%i|%T|%N|%k")
        return [tuple(line.split("|")) for line in listed.splitlines()]

    def state(self, job: str) -> str:
        return self.command("squeue", "--noheader", f"--jobs={job}", "--format=%T")

    def hasten(self, job: str) -> None:
        """Start a requeued job immediately instead of after two minutes, and wait until it runs.

        The job must have ended on its node first. Otherwise, SLURM delays the second attempt indefinitely.
        """
        time.sleep(2)  # SLURM refuses to start a job in the second in which it was requeued
        deadline, waited = time.monotonic() + 60, False
        while not waited or "RUNNING" not in self.state(job):
            assert time.monotonic() < deadline, f"job {job} does not run again: {self.jobs()}"
            if not processes_of(job) and "PENDING" in self.state(job):
                # This command fails if the job has just started, which is no problem.
                self.command("scontrol", "update", f"jobid={job}", "starttime=now", check=False)
                waited = True
            time.sleep(0.2)

    def start(self, name: str, *command: str) -> None:
        """Start a daemon in the foreground. The daemon ends when this process ends, even if this process is killed."""
        path = shutil.which(command[0], path=SEARCHED)
        with (self.folder / f"{name}.out").open("ab") as out:
            started = ["setpriv", "--pdeathsig", "TERM", path, *command[1:]]
            where = {"env": self.environment, "cwd": self.folder, "start_new_session": True}
            self.daemons[name] = subprocess.Popen(started, stdout=out, stderr=out, **where)

    def start_node(self, name: str) -> None:
        """Start a node's daemon."""
        self.start(name, "slurmd", "-D", "-N", name)

    def end(self, name: str, how: int = signal.SIGTERM) -> None:
        """End a daemon and wait until it has ended."""
        process = self.daemons.pop(name)
        process.send_signal(how)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def wait_for_nodes(self) -> None:
        """Wait until all nodes are idle."""

        def idle() -> bool:
            states = self.command("sinfo", "--noheader", "--format=%t", "-N", check=False).split()
            return states == ["idle"] * len(NODES)

        def logs() -> str:
            return str({path.name: path.read_text()[-1500:] for path in self.folder.glob("*.log")})

        wait_for(idle, logs, seconds=60)


def processes_of(job: str) -> list[psutil.Process]:
    """Return a job's processes on this host."""
    steps = [
        each
        for each in psutil.process_iter(["cmdline"])
        if " ".join(each.info["cmdline"] or []).startswith(f"slurmstepd: [{job}.")
    ]
    return [process for step in steps for process in [step, *step.children(recursive=True)]]


def missing_programs() -> list[str]:
    """Return the names of the programs from slurm-wlm and munge that are not installed."""
    return [name for name in PROGRAMS if not shutil.which(name, path=SEARCHED)]


@contextlib.contextmanager
def cluster(folder: Path, *, cores: int = 1, memory: int = 20000, kill_wait: int = 10):
    """Run a cluster in `folder` while the block runs. Stop it when the block ends, with or without an error.

    Each of the two nodes has `cores` cores and `memory` MiB. SLURM sends SIGKILL `kill_wait` seconds after SIGTERM.
    """
    folder = folder.resolve()
    for name in ("state", *NODES):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)  # munged refuses a socket in a folder that other users cannot enter
    write_key(folder / "munge.key")
    controller, *ports = free_ports(1 + len(NODES))
    host = socket.gethostname().partition(".")[0]
    about = {"user": getpass.getuser(), "controller": controller, "folder": folder, "kill_wait": kill_wait}
    lines = [CONFIGURATION.format(host=host, **about)]
    for name, port in zip(NODES, ports, strict=True):
        lines.append(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} RealMemory={memory} "
            "State=UNKNOWN\n"
        )
    lines.append(f"PartitionName=main Nodes={','.join(NODES)} Default=YES MaxTime=INFINITE State=UP\n")
    (folder / "slurm.conf").write_text("".join(lines))
    found = Cluster(folder, environment(folder))
    try:
        files = {"key": "munge.key", "pid": "munged.pid", "log": "munged.log", "seed": "munged.seed"}
        options = [f"--{kind}-file={folder}/{name}" for kind, name in files.items()]
        found.start("munged", "munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *options)
        wait_for((folder / "munge.socket").exists, (folder / "munged.out").read_text, seconds=20)
        found.start("slurmctld", "slurmctld", "-D", "-c")
        for name in NODES:
            found.start_node(name)
        found.wait_for_nodes()
        yield found
    finally:
        stop(found)


def stop(found: Cluster) -> None:
    """Cancel all jobs, then end the daemons."""
    if "slurmctld" in found.daemons:
        found.command("scancel", "--user", getpass.getuser(), check=False)
        deadline = time.monotonic() + 20
        while found.jobs("running,completing") and time.monotonic() < deadline:
            time.sleep(0.2)
    for name in reversed(list(found.daemons)):
        found.end(name)


def environment(folder: Path) -> dict[str, str]:
    """Return the environment variables that SLURM's commands need to find the cluster in `folder`.

    Snakemake's SLURM plugin removes all SLURM_* variables from its jobs, including the path of slurm.conf. A wrapper
    called `srun`, the first on the jobs' PATH, therefore sets this variable again.
    """
    configuration = folder / "slurm.conf"
    srun = folder / "bin/srun"
    srun.parent.mkdir()
    srun.write_text(f'#!/bin/sh\nSLURM_CONF="{configuration}" exec "{shutil.which("srun")}" "$@"\n')
    srun.chmod(0o755)
    path = os.pathsep.join([str(srun.parent), os.environ["PATH"]])
    return os.environ | {"SLURM_CONF": str(configuration), "PATH": path}


def write_key(path: Path) -> None:
    """Write a key for munge: random bytes in a file that only this user can read."""
    path.write_bytes(os.urandom(1024))
    path.chmod(0o400)
