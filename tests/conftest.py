import gc
import os
from pathlib import Path

import pytest

from tests.support.checkout import Checkout, copy_checkout, finish, make_checkout, tree_digest
from tests.support.shared import kept

pytest.register_assert_rewrite("tests.pipeline.perturbations", "tests.pipeline.forgeries")

ROOT = Path(__file__).parents[1]
DVC = ROOT / ".venv-dvc/bin/dvc"
if DVC.exists():  # copies of the repository have no environments
    os.environ.setdefault("SEGCERT_DVC", str(DVC))
# What may be skipped in continuous integration (CI is set): what its machine cannot have, and cases that do not exist.
MAY_SKIP = (
    "needs a GPU",
    "there is a GPU",
    "the nodes of this cluster have no GPU to offer",
    "pdflatex is not installed",
    "needs the reduced real archives in ../shared/data",
    "this library does not write such a name",
)


def not_skipped_in_ci(report):
    """A report of a test or of a file; a skip for a reason that is not listed becomes a failure where CI is set."""
    if report.outcome == "skipped" and not hasattr(report, "wasxfail") and "CI" in os.environ:
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason not in MAY_SKIP:
            report.outcome = "failed"
            report.longrepr = (
                f"skipped, and CI is set: {reason}. Install what is missing, or add the reason to MAY_SKIP in "
                "tests/conftest.py"
            )
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return not_skipped_in_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return not_skipped_in_ci((yield))


@pytest.fixture
def scripts():
    """The folder of the scripts and the library."""
    return ROOT / "scripts"


@pytest.fixture
def no_collection(monkeypatch):
    """Statsmodels' multipletests collects garbage at every call: 60 ms in a large process."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


@pytest.fixture
def checkout(tmp_path):
    """A fresh checkout, nothing run."""
    return make_checkout(tmp_path / "repo")


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory):
    """The tiny run, finished: this process's copy of the one that is kept for this state of the repository."""
    shared = kept("finished", tree_digest(), finish)
    finished = copy_checkout(Checkout(shared / "repo"), tmp_path_factory.mktemp("finished") / "repo")
    finished.first_output = (shared / "output").read_text()
    return finished


@pytest.fixture
def finished(finished_once, tmp_path):
    """A copy, with all its times, of a checkout in which the tiny run has finished."""
    return copy_checkout(finished_once, tmp_path / "repo")
