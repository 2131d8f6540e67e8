"""Start, interrupt and resume the runs into which faults are injected."""

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
PATIENCE = 900  # seconds; a run that takes longer counts as hanging


class Run(Checkout):
    """A checkout in which the small run is started, interrupted and resumed. It keeps Snakemake's last output."""

    def __init__(self, path, configfile=SMALL):
        super().__init__(path)
        self.configfile = configfile
        self.said = Path(f"{path}.said")
        self.environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def copy(self, path):
        """Copy this checkout and keep its file times; replace an existing copy."""
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.path, path, symlinks=True)
        return Run(path, self.configfile)

    def start(self, *arguments):
        """Start Snakemake in a process group of its own, as a shell does, without waiting for it."""
        with self.said.open("w") as said:
            command = self.command(*arguments, configfile=self.configfile)
            where = {"cwd": self.path, "env": self.environment, "process_group": 0}
            return subprocess.Popen(command, stdout=said, stderr=said, **where)

    def run(self, *arguments):
        """Run Snakemake; return its exit status."""
        process = self.start(*arguments)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            kill(process)
            raise AssertionError(f"hangs: {self.output}") from None

    def resume(self, *arguments):
        """Unlock the folder after an interrupted run and run the same command again (docs/how-to/survive.md)."""
        self.unlock()
        return self.run(*arguments)

    def unlock(self):
        if any((self.path / ".snakemake/locks").glob("*")):
            assert self.run("--unlock") == 0, self.output

    @property
    def output(self):
        return self.said.read_text(errors="replace")


def jobs_of(process):
    """Return the running jobs of a Snakemake process: a dict that maps each job's process to its rule."""
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
    """Wait until `begun` new jobs have started; return False if the run ends before that.

    `seen` is the set of jobs that are not new. The new jobs are added to it.
    """
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
