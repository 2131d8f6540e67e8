import gc
import os
import shutil
from pathlib import Path

import pytest
from tests.support.checkout import Checkout, finish, make_checkout
from tests.support.shared import made_once

ROOT = Path(__file__).parents[1]
DVC = ROOT / ".venv-dvc/bin/dvc"
if DVC.exists():  # copies of the repository have no environments
    os.environ.setdefault("SEGCERT_DVC", str(DVC))


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
    """The tiny run, finished: this process's copy of the one that all processes of pytest share."""
    shared = made_once(tmp_path_factory, "finished", finish)
    finished = Checkout(tmp_path_factory.mktemp("finished") / "repo")
    shutil.copytree(shared / "repo", finished.path, symlinks=True)
    finished.first_output = (shared / "output").read_text()
    return finished


@pytest.fixture
def finished(finished_once, tmp_path):
    """A copy, with all its times, of a checkout in which the tiny run has finished."""
    shutil.copytree(finished_once.path, tmp_path / "repo", symlinks=True)
    return Checkout(tmp_path / "repo")
