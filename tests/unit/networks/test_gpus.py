"""Claims of GPUs on simulated machines: no GPU is used."""

import os
import subprocess
import sys

import pytest

from segcert.networks import gpus

CLAIM = """
import sys
from segcert.networks.gpus import claim_gpus
print(",".join(claim_gpus(int(sys.argv[1]), sys.argv[2])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def job(tmp_path, scripts):
    """Return a function that starts a process, which claims some of the GPUs a, b and c until it is killed."""
    processes = []

    def start(count=1):
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "a,b,c", "PYTHONPATH": str(scripts)}
        process = subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(count), str(tmp_path / "locks")],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        processes.append(process)
        return process, process.stdout.readline().strip().split(",")

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_parallel_jobs_claim_different_gpus_and_a_killed_job_releases_its_gpu(job):
    (first, took), *others = [job() for _ in range(3)]
    assert sorted([*took, *(name for _, names in others for name in names)]) == ["a", "b", "c"]
    assert job()[1] == ["a", "b", "c"], "all are claimed, so the job shares them"
    first.kill()
    first.wait()
    assert job()[1] == took


def test_a_training_claims_several_gpus_or_none(job):
    _, two = job(2)
    assert two == ["a", "b"]
    assert job(2)[1] == ["a", "b", "c"], "too few are free, so the job shares all"
    assert job(1)[1] == ["c"], "the job that found too few released them"


def test_cuda_shows_the_claimed_gpus(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-1f")
    monkeypatch.setattr(gpus, "_held", [])
    assert gpus.claim_gpus(1, tmp_path) == ["4"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4"


def test_the_only_gpu_and_those_that_a_parent_claimed_are_not_claimed(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert gpus.claim_gpus(1, tmp_path / "locks") == ["3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    assert gpus.claim_gpus(0, tmp_path / "locks") == ["3", "4"]
    assert not (tmp_path / "locks").exists()


@pytest.mark.parametrize(
    ("stated", "names"),
    [("", []), ("-1", []), ("0", ["0"]), ("2, 0", ["2", "0"]), ("1,-1,2", ["1"]), ("MIG-a/1/0", ["MIG-a/1/0"])],
)
def test_visible_gpus_are_those_of_cuda(monkeypatch, stated, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", stated)
    assert gpus.visible_gpus() == names
