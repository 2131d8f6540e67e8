"""A sample of the faults of tests/tools/faults, on the finished tiny run. All faults: python -m tests.tools.faults."""

import os
import random
import subprocess

import pytest
from tests.support.checkout import TINY
from tests.tools.faults import disks
from tests.tools.faults.damaged_blocks import damaged_blocks
from tests.tools.faults.outcomes import Fault, table
from tests.tools.faults.runs import Run

SOME_STAGES = {
    "predict": "results/tiny/predictions/phantom/unet-clean.npz",
    "score_denoisers": "results/tiny/denoiser_scores/phantom.csv",
}


@pytest.fixture
def plain(finished_once):
    return Run(finished_once.path, TINY)


def faults_of(kind, plain, folder):
    faults = kind(None, plain, folder / "repo", random.Random(0), 0)
    assert [fault for fault in faults if fault.wrong] == []
    return faults


def test_damaged_blocks_are_found_and_drawn_again(plain, tmp_path):
    assert len(faults_of(damaged_blocks, plain, tmp_path)) == 8


def test_jobs_report_a_full_disk_and_resume_once_there_is_room(plain, tmp_path, monkeypatch):
    if os.getuid() or subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("needs root, to mount a small disk")
    monkeypatch.setattr(disks, "LEVELS", (SOME_STAGES,))
    assert len(faults_of(disks.full_disk, plain, tmp_path)) == 2


def test_the_table_counts_faults_and_wrong_outcomes():
    faults = [Fault("a", ["x"], "well"), Fault("a", ["y", "x"], "well"), Fault("b", [], "wrong", ["lost"])]
    assert table(faults) == [
        {"kind": "a", "faults": 2, "stages": ["x", "y"], "outcomes": {"well": 2}, "lost_or_wrong": 0},
        {"kind": "b", "faults": 1, "stages": [], "outcomes": {"wrong": 1}, "lost_or_wrong": 1},
    ]


def test_a_pointer_is_rewritten_after_its_job_failed(finished):
    """If a job that updates a file fails, Snakemake restores the old file and takes it for the new one."""
    config, pointer = finished.path / ".dvc/config", finished.path / "data.dvc"
    stated, whole = config.read_text(), pointer.read_text()
    config.write_text("no configuration")
    assert finished.snakemake("--force", "data.dvc", check=False).returncode
    config.write_text(stated)
    assert finished.stale("data.dvc") == {"version_data": 1}
    finished.snakemake("data.dvc")
    assert pointer.read_text() == whole
