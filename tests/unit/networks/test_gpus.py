"""Which GPU a job takes, on machines that are made up: no GPU is used."""

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
    """Starts processes that claim GPUs of a machine with a, b and c, and hold them until they are killed."""
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


def test_jobs_side_by_side_take_one_each_and_a_killed_one_gives_its_own_back(job):
    (first, took), *others = [job() for _ in range(3)]
    assert sorted([*took, *(name for _, names in others for name in names)]) == ["a", "b", "c"]
    assert job()[1] == ["a", "b", "c"], "all are taken: it shares"
    first.kill()
    first.wait()
    assert job()[1] == took


def test_a_training_takes_several_or_holds_none(job):
    _, two = job(2)
    assert two == ["a", "b"]
    assert job(2)[1] == ["a", "b", "c"], "too few are free"
    assert job(1)[1] == ["c"], "what was too few is not held"


def test_cuda_shows_what_was_claimed(monkeypatch, tmp_path):
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
def test_what_is_visible_is_what_cuda_takes(monkeypatch, stated, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", stated)
    assert gpus.visible_gpus() == names
