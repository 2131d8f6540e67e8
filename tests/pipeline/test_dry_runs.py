"""Plans (dry runs) change no file and list the jobs that a run would execute."""

import os
import shutil
import time

import pytest
from tests.pipeline.perturbations import MODEL, VOTES, tamper
from tests.support.checkout import TINY

from segcert.plan.status import status
from segcert.provenance.digests import file_digest
from segcert.provenance.preparation import Preparation
from segcert.provenance.staleness import DAY

# Files that Snakemake itself writes during every plan: its log and its cache of file times
SNAKEMAKES_OWN = (".snakemake/log/", ".snakemake/iocache/")


def state(checkout):
    """Return the digest and time of each file, and the time of each folder.

    For git's and DVC's files, the times are left out: copies of a checkout share these files, so parallel tests may
    change the times.
    """
    found = {}
    for path in checkout.path.rglob("*"):
        name = path.relative_to(checkout.path).as_posix()
        if path.is_file() and not name.startswith(SNAKEMAKES_OWN):
            shared = name.startswith((".git/", ".dvc/"))
            found[name] = (file_digest(path), None if shared else path.stat().st_mtime_ns)
        elif path.is_dir() and not name.startswith(".snakemake"):
            found[name] = path.stat().st_mtime_ns
    return found


def as_pulled(checkout):
    """Make a checkout look like a clone after `dvc pull`.

    Such a clone contains no Snakemake records, and no run records for data and models.
    """
    for folder in (".snakemake", ".segcert"):
        shutil.rmtree(checkout.path / folder)
    for path in checkout.files("**/*"):
        if path.name.endswith(".record.json") and path.relative_to(checkout.path).parts[0] in ("data", "models"):
            path.unlink()
        elif path.is_file() and ".git" not in path.parts:
            os.utime(path)


def leave_temporary_files(checkout):
    """Create a temporary file, as left by a process that was killed two days ago."""
    left = checkout.path / "results/tiny/.votes.npz.abcdefgh.part"
    left.write_text("half")
    os.utime(left, (time.time() - 2 * DAY,) * 2)


def pulled_and_changed(checkout):
    as_pulled(checkout)
    tamper(MODEL)(checkout)


STATES = {
    "finished": (lambda checkout: None, False),
    "pulled": (as_pulled, False),
    "pulled and changed": (pulled_and_changed, True),
    "one byte changed": (tamper(VOTES), True),
    "from the future": (lambda checkout: os.utime(checkout.path / MODEL, (time.time() + DAY,) * 2), False),
    "temporary files": (leave_temporary_files, False),
}


@pytest.fixture(autouse=True)
def _no_bytecode(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


def check_plans(checkout):
    """Assert that plans of all kinds change no file; return the number of stale jobs by rule."""
    before = state(checkout)
    said = checkout.snakemake("-n").output
    with checkout.inside():
        text = status(["--configfile", TINY])
    stale = checkout.stale()
    assert state(checkout) == before
    assert ("Nothing to be done" in said) == ("Nothing is stale" in text) == (not stale)
    return stale


@pytest.mark.parametrize("name", STATES)
def test_a_plan_changes_nothing_and_names_what_a_run_would_do(finished, name):
    change, expected = STATES[name]
    change(finished)
    stale = check_plans(finished)
    assert bool(stale) == expected
    with finished.inside():
        Preparation().write()  # as a run does
    assert finished.stale() == stale


def test_a_plan_of_a_fresh_clone_changes_nothing(checkout):
    assert check_plans(checkout)["train_denoiser"] == 1
    before = state(checkout)
    checkout.segcert("plan", "--configfile", TINY)
    assert state(checkout) == before


def test_a_run_removes_temporary_files_and_restores_pulled_records(finished):
    as_pulled(finished)
    leave_temporary_files(finished)
    finished.snakemake()
    assert not finished.files("results/tiny/.votes.npz.*")
    assert (finished.path / f"{MODEL}.record.json").exists()
    assert finished.broken() == set()
