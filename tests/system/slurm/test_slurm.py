"""Jobs of a run on a SLURM cluster on this machine, one of them requeued, make the same bytes."""

import os
import shutil
import time

import pytest
from tests.support.digests import differing
from tests.tools.slurm.cluster import cluster, missing_programs
from tests.tools.slurm.runs import SNAKEMAKE, made, run_on

from segcert.provenance.git import git

TARGET = "results/tiny/certificates/phantom/unet-clean/none/sigma_0.5.npz"
AGAIN = (
    "models/segmenter/phantom/unet-clean/[!R]*",  # without the model card
    "results/tiny/votes/phantom/unet-clean/none/sigma_0.5/*",
    "results/tiny/certificates/phantom/unet-clean/none/sigma_0.5.*",
)

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        bool(missing_programs() or not SNAKEMAKE.exists()),
        reason="needs Debian's packages slurm-wlm and munge, and `make cluster`",
    ),
    pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="the nodes of this cluster have no GPU to offer"),
]


def test_a_cluster_makes_the_same_bytes_as_a_local_run(finished, finished_once, tmp_path):
    """The training is requeued as soon as it runs, as by preemption: it resumes, and no digest changes."""
    for path in (path for pattern in AGAIN for path in finished.files(pattern)):
        path.unlink()
    shutil.rmtree(finished.path / ".segcert")
    before = finished.path / "data/prepared/phantom/index.csv"
    prepared = before.stat().st_mtime_ns
    requeued, jobs = [], set()
    with (
        cluster(tmp_path / "slurm") as found,
        run_on(found, finished.path, TARGET, "--configfile", "tests/support/tiny.yaml", log=tmp_path / "log") as run,
    ):
        deadline = time.monotonic() + 600
        while run.poll() is None:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            listed = found.jobs()
            jobs |= {about.split("_wildcards")[0] for _, _, _, about in listed}
            training = [job for job, state, _, about in listed if state == "RUNNING" and "train_segmenter" in about]
            if training and not requeued:
                found.command("scontrol", "requeue", training[0])
                found.hasten(training[0])
                requeued += training
            time.sleep(0.2)
    assert run.returncode == 0, (tmp_path / "log").read_text()
    assert requeued
    assert jobs == {"rule_train_segmenter", "rule_sample", "rule_predict", "rule_decide_certify"}, (
        "existing files are not made again"
    )
    assert before.stat().st_mtime_ns == prepared
    first, second = made(finished_once.path), made(finished.path)
    assert differing(first, second) == []
    for name in ("models/segmenter/phantom/unet-clean/model.safetensors", TARGET):
        assert name in second
    assert git("status", "--porcelain", root=finished.path) == git("status", "--porcelain", root=finished_once.path)
    assert finished.stale() == {}, "a local run continues with the files of the cluster"
