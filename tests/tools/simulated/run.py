"""A simulated run in a checkout: made once, rendered by Snakemake."""

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
    """A run whose networks are made up, in a checkout of the repository.

    rules: those that Snakemake may run, all of them of the report. report: the folder of its pages.
    """

    checkout: Path
    name: str
    rules: list[str]

    @property
    def report(self) -> Path:
        """Where the pages, tables and figures stand."""
        return self.checkout / "reports" / self.name

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which commands of this run run: its own library, one thread a job."""
        return os.environ | _environment(self.checkout)

    def command(self) -> list[str]:
        """The command that renders the report."""
        options = ["--configfile", _configfile(self.name), "--cores", "2", "--allowed-rules", *self.rules]
        return [sys.executable, "-m", "snakemake", *options, "--", f"reports/{self.name}/index.html"]

    def render(self) -> None:
        """Have Snakemake render the report from what is there."""
        _run(self.command(), self.checkout)

    def audit(self) -> None:
        """Leave audit.html and audit.json beside the page, as `segcert audit` does; in this process: quicker."""
        from segcert.audit.audit import audit  # here, so that tests that audit nothing do not pay for it
        from segcert.audit.page import write_audit
        from segcert.audit.text import audit_in_words

        with contextlib.chdir(self.checkout):
            done = audit(self.name)
            write_audit(done)
        if not done.passed:
            raise RuntimeError(audit_in_words(done))


def make_run(checkout: Path, configuration: Mapping[str, Any], what: str = "work") -> SimulatedRun:
    """Write everything that the report of a configuration is rendered from into a copy of the repository.

    `configuration` holds what differs from config/default.yaml, `run` among it; paths of `own_data` are relative to the
    checkout. Data sets of the catalogue need `sampling: {test_images: ...}`: so many test images are made up.
    `what="all"` renders the report too, by the scripts of its rules in the same processes, in a third of the time that
    `render` takes for a small run.
    """
    name = configuration["run"]
    (checkout / "data.dvc").unlink(missing_ok=True)  # it names the data of the repository's own run
    (checkout / _configfile(name)).write_text(yaml.safe_dump(dict(configuration), allow_unicode=True))
    page = f"reports/{name}/index.html"
    printed = _run([sys.executable, "-m", "tests.tools.simulated.jobs", what, _configfile(name), page], checkout)
    return SimulatedRun(checkout, name, printed.split())


def _configfile(name: str) -> str:
    return f"simulated-{name}.yaml"


def _run(command: list[str], checkout: Path) -> str:
    """Run a command in a checkout; return what it printed. Fails with all that it said."""
    return str(run_in(checkout, *command, **_environment(checkout)).stdout)


def _environment(checkout: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(checkout / "scripts"), str(checkout)]), "OMP_NUM_THREADS": "1"}
