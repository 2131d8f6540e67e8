"""The profile for Kubernetes: pods that share nothing but a bucket (against a stand-in for the API server)."""

import json

import pytest
from tests.workflow import stores
from tests.workflow.machines import MODEL, SNAKEMAKE, bucket, contents, fresh
from tests.workflow.pods import cluster

from segcert.provenance.git import git

pytestmark = [
    pytest.mark.s3,
    pytest.mark.skipif(not SNAKEMAKE.exists(), reason="no .venv-cluster; `make cluster` sets it up"),
]
IMAGE = "registry.example.org/segcert:1"


def test_pods_make_a_model_from_nothing_but_the_bucket(finished_once, tmp_path, monkeypatch):
    machine = fresh(tmp_path / "repo")
    machine.profile = "profiles/kubernetes"
    with (
        bucket(machine, tmp_path / "store", monkeypatch.setenv),
        cluster(tmp_path / "pods", monkeypatch.setenv) as pods,
    ):
        done = machine.snakemake(f"{MODEL}/README.md", "--container-image", IMAGE, check=False)
        logs = {name: pods.log(name).read_text() for name in pods.jobs}
        assert not done.returncode, "\n".join([done.output, *logs.values()])
        stored = contents("tiny/")
    specifications = json.dumps(list(pods.jobs.values()))
    assert len(pods.jobs) == 3
    assert IMAGE in specifications
    assert not machine.files(f"{MODEL}/*"), "what pods make stays in the bucket"
    name = f"{MODEL}/model.safetensors"
    assert stored[f"tiny/{name}"] == (finished_once.path / name).read_bytes()
    record = json.loads(stored[f"tiny/{name}.record.json"])
    assert record["git"]["commit"] == git("rev-parse", "HEAD", root=machine.path)
    for text in (specifications, done.output, *logs.values(), *(str(content) for content in stored.values())):
        assert stores.SECRET not in text
