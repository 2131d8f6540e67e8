import gc
import os
import tempfile
from pathlib import Path

import pytest

from tests.support.checkout import Checkout, copy_checkout, finish, make_checkout, tree_digest
from tests.support.shared import kept

pytest.register_assert_rewrite("tests.pipeline.perturbations", "tests.pipeline.forgeries")

ROOT = Path(__file__).parents[1]
DVC = ROOT / ".venv-dvc/bin/dvc"
if DVC.exists():  # copies of the repository have no environments
    os.environ.setdefault("SEGCERT_DVC", str(DVC))
# No test writes into the ledger of decisions of the person who runs it; see also the fixture `state`.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="segcert-state-")
# Reasons for a skip in continuous integration (CI is set): its machine cannot have this, or the case does not exist.
MAY_SKIP = (
    "needs a GPU",
    "needs root, to mount a small disk",
    "there is a GPU",
    "the nodes of this cluster have no GPU to offer",
    "pdflatex is not installed",
    "needs the reduced real archives in ../shared/data",
    "this library does not write such a name",
)


def not_skipped_in_ci(report):
    """Return the report of a test or a file; if CI is set, a skip for an unlisted reason becomes a failure."""
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
    """Folder of the scripts and the library."""
    return ROOT / "scripts"


@pytest.fixture(autouse=True)
def state(tmp_path_factory, monkeypatch):
    """Folder in which this test's processes keep the user's state: an empty ledger of decisions."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture
def no_collection(monkeypatch):
    """Disable garbage collection, which statsmodels' multipletests runs at every call: 60 ms in a large process."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


@pytest.fixture
def checkout(tmp_path):
    """Return a fresh checkout in which nothing has run."""
    return make_checkout(tmp_path / "repo")


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory):
    """Return this process's copy of the finished tiny run, which is kept for this state of the repository."""
    shared = kept("finished", tree_digest(), finish)
    finished = copy_checkout(Checkout(shared / "repo"), tmp_path_factory.mktemp("finished") / "repo")
    finished.first_output = (shared / "output").read_text()
    return finished


@pytest.fixture
def finished(finished_once, tmp_path):
    """Return a copy of a checkout in which the tiny run has finished; file times are preserved."""
    return copy_checkout(finished_once, tmp_path / "repo")
