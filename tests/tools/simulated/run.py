"""Make simulated runs in a checkout, and render their reports with Snakemake."""

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
    """A simulated run in a checkout of the repository. Snakemake runs only the report's rules, which `rules` lists."""

    checkout: Path
    name: str
    rules: list[str]

    @property
    def report(self) -> Path:
        """The folder that contains the pages, tables and figures."""
        return self.checkout / "reports" / self.name

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables for the run's commands: the checkout's library, and one thread per job."""
        return os.environ | _environment(self.checkout)

    def command(self) -> list[str]:
        """Return the command that renders the report."""
        options = ["--configfile", _configfile(self.name), "--cores", "2", "--allowed-rules", *self.rules]
        return [sys.executable, "-m", "snakemake", *options, "--", f"reports/{self.name}/index.html"]

    def render(self) -> None:
        """Render the report with Snakemake."""
        _run(self.command(), self.checkout)

    def audit(self) -> None:
        """Write audit.html and audit.json next to the page, as `segcert audit` does, but faster, in this process."""
        from segcert.audit.audit import audit  # imported here, so that tests without an audit do not spend time on it
        from segcert.audit.page import write_audit
        from segcert.audit.text import audit_to_text

        with contextlib.chdir(self.checkout):
            done = audit(self.name)
            write_audit(done)
        if not done.passed:
            raise RuntimeError(audit_to_text(done))


def make_run(checkout: Path, configuration: Mapping[str, Any], what: str = "work") -> SimulatedRun:
    """Write all inputs of a configuration's report into a checkout.

    `configuration` contains `run` and all other keys that differ from config/default.yaml. Paths in `own_data` are
    relative to the checkout. Data sets from the catalogue need `sampling: {test_images: ...}`, the number of test
    images. `what="all"` also renders the report, by running its rules' scripts in the same processes. For a small run,
    this takes a third of the time that `render` needs.
    """
    name = configuration["run"]
    (checkout / "data.dvc").unlink(missing_ok=True)  # describes the data of the repository's own run
    (checkout / _configfile(name)).write_text(yaml.safe_dump(dict(configuration), allow_unicode=True))
    page = f"reports/{name}/index.html"
    printed = _run([sys.executable, "-m", "tests.tools.simulated.jobs", what, _configfile(name), page], checkout)
    return SimulatedRun(checkout, name, printed.split())


def _configfile(name: str) -> str:
    return f"simulated-{name}.yaml"


def _run(command: list[str], checkout: Path) -> str:
    """Run a command in a checkout and return its output. If the command fails, raise an error that shows all output."""
    return str(run_in(checkout, *command, **_environment(checkout)).stdout)


def _environment(checkout: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(checkout / "scripts"), str(checkout)]), "OMP_NUM_THREADS": "1"}
