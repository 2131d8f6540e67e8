"""Make copies of the repository in which tests run Snakemake, and the finished tiny run that tests share."""

import collections
import contextlib
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import yaml

from segcert.provenance.dvc import run_dvc

ROOT = Path(__file__).parents[2]
TINY = "tests/support/tiny.yaml"


class Checkout:
    """A copy of the repository in which tests run Snakemake."""

    def __init__(self, path):
        self.path = Path(path)

    def command(self, *arguments, configfile=TINY):
        return [sys.executable, "-m", "snakemake", "--configfile", configfile, "--cores", "2", *arguments]

    def snakemake(self, *arguments, configfile=TINY, check=True):
        return run_in(self.path, *self.command(*arguments, configfile=configfile), check=check)

    def segcert(self, *arguments, check=True):
        """Run this repository's `segcert` in the checkout."""
        library = {"PYTHONPATH": str(ROOT / "scripts")}
        return run_in(self.path, sys.executable, "-m", "segcert.cli", *arguments, check=check, **library)

    def stale(self, *arguments, configfile=TINY):
        """Return the number of jobs that would run, by rule. Plan them in this process, which saves the imports."""
        from segcert.plan.snakemake_plan import read_plan  # imported here: tests without Snakemake do not need it

        with self.inside():
            jobs = read_plan([*arguments, "--configfile", configfile])
        return dict(collections.Counter(job.rule for job in jobs if job.stale))

    def audit(self, run="tiny", **options):
        from segcert.audit.audit import audit  # imported here: tests without torch do not need it

        with self.inside():
            return audit(run, **options)

    def broken(self, **options):
        """Return the files for which an audit finds broken links."""
        return {finding.path for outcome in self.audit(**options).outcomes for finding in outcome.broken}

    @contextlib.contextmanager
    def inside(self):
        """Work in the checkout; restore the environment variables of this process afterwards."""
        environment = os.environ.copy()
        with contextlib.chdir(self.path):
            try:
                yield
            finally:
                os.environ.clear()
                os.environ.update(environment)

    def dvc(self, *arguments):
        done = run_dvc(*arguments, root=self.path, capture=True)
        assert done.returncode == 0, done.stderr

    def git(self, *arguments):
        return run_in(self.path, "git", "-c", "user.name=test", "-c", "user.email=test@example.org", *arguments).stdout

    def commit_everything(self):
        """Make this folder a git repository with one commit."""
        for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "start"]):
            self.git(*command)
        return self

    def edit(self, file, old, new):
        path = self.path / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def configure(self, **keys):
        """Write the tiny run's configuration with some keys changed or added; return its file name."""
        settings = yaml.safe_load((self.path / TINY).read_text()) | keys
        (self.path / "own.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True))
        return "own.yaml"

    def start(self, *arguments):
        """Start Snakemake without waiting for it."""
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(self.command(*arguments), cwd=self.path, **silent)

    def files(self, pattern):
        return sorted(self.path.glob(pattern))


def run_in(folder, *command, check=True, **environment):
    """Run a command in a folder. The result's attribute `output` contains everything that the command printed."""
    environment = os.environ | environment
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    done.output = done.stdout + done.stderr
    assert not check or done.returncode == 0, done.output
    return done


def wait_for(condition, what, *, seconds=120):
    """Wait until a condition holds. After the time limit, fail with the message `what`, a text or a function."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what() if callable(what) else f"{what}: did not happen"
        time.sleep(0.02)


def kill(process):
    """Kill Snakemake and all its jobs at the same moment, as in a power cut."""
    everyone = []
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        everyone = [parent, *parent.children(recursive=True)]
    for signal_number in (signal.SIGSTOP, signal.SIGKILL):  # stop all first, so that no process sees another end
        for each in everyone:
            send(each, signal_number)
    process.wait()
    psutil.wait_procs(everyone, timeout=30)


def send(process, signal_number):
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal_number)


def copy_checkout(source, path):
    """Copy a checkout and keep its file times. Read-only files, such as git objects, become hard links."""

    def copy_or_link(file, copy):
        try:
            writable = os.stat(file).st_mode & stat.S_IWUSR
            shutil.copy2(file, copy) if writable else os.link(file, copy)
        except OSError:  # the copy is on a different file system
            shutil.copy2(file, copy)

    shutil.copytree(source.path, path, symlinks=True, copy_function=copy_or_link)
    return Checkout(path)


def repository_files():
    """Return the files that git lists; in an unpacked source archive, return an empty list."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    return [name for name in listed if (ROOT / name).is_file()]


def tree_digest():
    """Return a digest of everything that a finished run depends on: the environment and all files but test modules."""
    files = [name for name in repository_files() if not Path(name).name.startswith("test_")]
    states = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in files}
    everything = [sys.prefix, str(ROOT), os.environ.get("SEGCERT_DVC"), states]
    return hashlib.sha256(json.dumps(everything).encode()).hexdigest()[:16] if files else uuid.uuid4().hex


def make_checkout(path):
    files = repository_files()
    if not files:  # an unpacked source archive
        skip = shutil.ignore_patterns(".venv", "data", "models", "results", ".snakemake", ".segcert", "cache", "tmp")
        shutil.copytree(ROOT, path, ignore=skip)
        return Checkout(path)
    for name in files:
        target = Path(path) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return Checkout(path)


def finish(folder):
    """Run the tiny configuration in a checkout with one commit; save Snakemake's output."""
    checkout = make_checkout(folder / "repo").commit_everything()
    (folder / "output").write_text(checkout.snakemake().output)
