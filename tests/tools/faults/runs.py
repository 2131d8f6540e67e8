"""A run that is disturbed: its checkout, its processes, and how it goes on."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import psutil
from tests.support.checkout import Checkout, kill

SMALL = "tests/tools/faults/small.yaml"
SCRIPT = re.compile(r"/\.snakemake/scripts/tmp[^/]*?\.(\w+)\.py$")
PATIENCE = 900  # seconds; a run that takes longer hangs


class Run(Checkout):
    """A checkout in which the small run is started, disturbed, and gone on with. It keeps what Snakemake said last."""

    def __init__(self, path, configfile=SMALL):
        super().__init__(path)
        self.configfile = configfile
        self.said = Path(f"{path}.said")
        self.environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def copy(self, path):
        """A copy of this checkout with all times; an older one there is deleted."""
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.path, path, symlinks=True)
        return Run(path, self.configfile)

    def start(self, *arguments):
        """Start Snakemake in a process group of its own, as a shell does, and do not wait for it."""
        with self.said.open("w") as said:
            return subprocess.Popen(
                self.command(*arguments, configfile=self.configfile),
                cwd=self.path, stdout=said, stderr=said, env=self.environment, process_group=0,
            )  # fmt: skip

    def run(self, *arguments):
        """Run Snakemake to its end; return its exit status."""
        process = self.start(*arguments)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            kill(process)
            raise AssertionError(f"hangs: {self.output}") from None

    def go_on(self, *arguments):
        """What docs/how-to/survive.md says: unlock what a killed run left locked, and the same command again."""
        self.unlock()
        return self.run(*arguments)

    def unlock(self):
        if any((self.path / ".snakemake/locks").glob("*")):
            assert self.run("--unlock") == 0, self.output

    @property
    def output(self):
        return self.said.read_text(errors="replace")


def jobs_of(process):
    """The jobs that a Snakemake process runs now: processes by the stage whose script each runs."""
    jobs = {}
    try:
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                found = SCRIPT.search(" ".join(child.cmdline()[1:2]))
            except psutil.Error:
                continue
            if found:
                jobs[child] = found[1]
    except psutil.NoSuchProcess:
        pass
    return jobs


def wait_for_job(process, seen, begun):
    """Wait until `begun` more jobs have begun than are `seen` (a set, which grows); False if the run ends before."""
    deadline = time.monotonic() + PATIENCE
    while begun > 0:
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline, "no job begins"
        jobs = set(jobs_of(process)) - seen
        seen |= jobs
        begun -= len(jobs)
        time.sleep(0.02)
    return True
