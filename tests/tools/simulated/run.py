"""Simulated runs in a checkout: made once, rendered by Snakemake."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.support.checkout import run_in


@dataclasses.dataclass(frozen=True)
class SimulatedRun:
    """A run with made-up networks in a checkout of the repository. Snakemake runs only `rules`, those of the report."""

    checkout: Path
    name: str
    rules: list[str]

    @property
    def report(self) -> Path:
        """Folder of the pages, tables and figures."""
        return self.checkout / "reports" / self.name

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the run's commands: its own library, one thread per job."""
        return os.environ | _environment(self.checkout)

    def command(self) -> list[str]:
        """Return the command that renders the report."""
        options = ["--configfile", _configfile(self.name), "--cores", "2", "--allowed-rules", *self.rules]
        return [sys.executable, "-m", "snakemake", *options, "--", f"reports/{self.name}/index.html"]

    def render(self) -> None:
        """Let Snakemake render the report."""
        _run(self.command(), self.checkout)

    def audit(self) -> None:
        """Write audit.html and audit.json next to the page, as `segcert audit` does, but faster in this process."""
        from segcert.audit.audit import audit  # imported here: tests without an audit do not pay for it
        from segcert.audit.page import write_audit
        from segcert.audit.text import audit_to_text

        with contextlib.chdir(self.checkout):
            done = audit(self.name)
            write_audit(done)
        if not done.passed:
            raise RuntimeError(audit_to_text(done))


def make_run(checkout: Path, configuration: Mapping[str, Any], what: str = "work") -> SimulatedRun:
    """Write all inputs of the report of a configuration into a copy of the repository.

    `configuration` contains `run` and all other keys that differ from config/default.yaml. Paths of `own_data` are
    relative to the checkout. Data sets of the catalogue need `sampling: {test_images: ...}`, the number of test images.
    `what="all"` also renders the report, with the scripts of its rules in the same processes. For a small run, that
    takes a third of the time of `render`.
    """
    name = configuration["run"]
    (checkout / "data.dvc").unlink(missing_ok=True)  # it is about the data of the repository's own run
    (checkout / _configfile(name)).write_text(yaml.safe_dump(dict(configuration), allow_unicode=True))
    page = f"reports/{name}/index.html"
    printed = _run([sys.executable, "-m", "tests.tools.simulated.jobs", what, _configfile(name), page], checkout)
    return SimulatedRun(checkout, name, printed.split())


def _configfile(name: str) -> str:
    return f"simulated-{name}.yaml"


def _run(command: list[str], checkout: Path) -> str:
    """Run a command in a checkout; return its output. Fail with all output if the command fails."""
    return str(run_in(checkout, *command, **_environment(checkout)).stdout)


def _environment(checkout: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(checkout / "scripts"), str(checkout)]), "OMP_NUM_THREADS": "1"}
