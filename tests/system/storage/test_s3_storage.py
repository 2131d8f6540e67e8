"""Runs with files in a bucket, on machines that share nothing else, and faults of S3."""

import json
import os

import pytest
from tests.support.checkout import Checkout
from tests.system.storage import stores
from tests.system.storage.flaky_store import Fault, flaky
from tests.system.storage.machines import (
    MODEL,
    PART,
    PREDICTIONS,
    SNAKEMAKE,
    bucket,
    clone,
    contents,
    fresh,
    with_a_copy,
)
from tests.system.storage.pods import cluster

from segcert.provenance.git import git
from segcert.provenance.records import SUFFIX
from segcert.provenance.storage import PACKED

pytestmark = [
    pytest.mark.s3,
    pytest.mark.skipif(not SNAKEMAKE.exists(), reason="no .venv-cluster; `make cluster` sets it up"),
]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """Return a machine that has made the models, in a bucket."""
    folder = tmp_path_factory.mktemp("s3")
    machine = fresh(folder / "first")
    with pytest.MonkeyPatch.context() as patch, bucket(machine, folder / "store", patch.setenv):
        machine.snakemake(f"{MODEL}/README.md")
        yield machine


@pytest.fixture(scope="module")
def second(first):
    """Return a fresh machine that has completed the run from the bucket."""
    machine = clone(first, first.path.with_name("second"))
    machine.planned = machine.plan()
    machine.snakemake()
    return machine


def test_a_fresh_machine_reruns_nothing_that_is_in_the_bucket(second):
    assert {"predict", "sample", "page"} <= second.planned
    assert not {"prepare_phantom", "train_segmenter", "segmenter_card"} & second.planned


def test_a_third_machine_has_nothing_to_do_and_notices_changes(second):
    third = clone(second, second.path.with_name("third"))
    assert third.plan() == set()
    third.edit("tests/support/tiny.yaml", "n: 50", "n: 50\ntau: 0.7")
    stale = third.plan()
    assert "certify" in stale
    assert "sample" not in stale


def test_the_bucket_contains_the_files_of_a_local_run(second, finished_once):
    stored = {name.removeprefix("tiny/"): content for name, content in contents("tiny/").items()}
    parts = ("data/", "models/", "results/tiny/votes/", "results/tiny/certificates/", "results/tiny/predictions/")
    same = [name for name in stored if name.startswith(parts) and not name.endswith((SUFFIX, PACKED))]
    assert len(same) > 15
    for name in same:
        assert stored[name] == (finished_once.path / name).read_bytes(), name
    images = second.files("data/prepared/phantom/*/*.png")
    assert images
    for image in images:
        assert image.read_bytes() == (finished_once.path / image.relative_to(second.path)).read_bytes()
    assert "reports/tiny/index.html" in stored
    for name in (each for each in stored if each.endswith(SUFFIX)):
        record = json.loads(stored[name])
        assert f"{next(iter(record['outputs']))}{SUFFIX}" == name
        assert ".snakemake" not in json.dumps([record["inputs"], record["outputs"], record["params"]])


def test_the_files_of_the_last_machine_pass_an_audit(second):
    assert second.broken() == set()


def test_the_dvc_remote_is_in_the_same_bucket(second, tmp_path):
    second.snakemake("push")
    second.git("add", "-f", "data.dvc", "models.dvc", "results.dvc", "reports/tiny.dvc")
    second.git("commit", "-qm", "A run")
    pulled = clone(second, tmp_path / "pulled")
    pulled.dvc("pull", "-q")
    assert (pulled.path / PREDICTIONS).read_bytes() == (second.path / PREDICTIONS).read_bytes()
    assert "Nothing to be done" in Checkout(pulled.path).snakemake(*PART).output, "in a run without a bucket"
    assert pulled.broken() == set()


def test_no_file_contains_credentials(second):
    secret = stores.SECRET.encode()
    for key, content in contents().items():
        assert secret not in content, key
    for file in second.path.rglob("*"):
        if file.is_file() and ".git" not in file.parts and file.suffix != ".py":
            assert secret not in file.read_bytes(), file


def test_a_run_recovers_from_temporary_faults_of_s3(first, tmp_path, monkeypatch):
    faults = [
        Fault("reset", "HEAD", times=2),
        Fault("503", "GET", "config.json", times=2),
        Fault("cut", "GET", "model.safetensors$", times=1),
        Fault("damaged", "GET", "model.safetensors$", times=1),
        Fault("500", "PUT", times=2),
        Fault("slow", "GET|HEAD", times=2, seconds=1),
    ]
    machine = with_a_copy(first, tmp_path / "passing")
    with flaky(os.environ["AWS_ENDPOINT_URL"], *faults) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        output = machine.snakemake(PREDICTIONS).output
    assert [fault.done for fault in faults] == [fault.times for fault in faults]
    assert f"{MODEL}/model.safetensors: the copy from the bucket differs from the file that the job made" in output


def test_a_permanent_fault_of_s3_leaves_nothing_half_written(first, second, tmp_path, monkeypatch):
    machine = with_a_copy(first, tmp_path / "staying")
    fault = Fault("503", "PUT", "predictions")
    with flaky(os.environ["AWS_ENDPOINT_URL"], fault) as endpoint, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        done = machine.snakemake(PREDICTIONS, "--retries", "0", "--storage-s3-retries", "2", check=False)
    assert done.returncode
    assert fault.done
    assert "SlowDown" in done.output
    assert not contents("staying/results/")
    machine.snakemake(PREDICTIONS)
    assert contents("staying/results/")[f"staying/{PREDICTIONS}"] == (second.path / PREDICTIONS).read_bytes()


def test_kubernetes_pods_make_a_model_from_the_bucket_alone(first, tmp_path, monkeypatch):
    """A stand-in for the API server runs the jobs of the executor as pods would."""
    image, weights = "registry.example.org/segcert:1", f"{MODEL}/model.safetensors"
    machine = clone(first, tmp_path / "pods")
    machine.profile, machine.prefix = "profiles/kubernetes", f"s3://{stores.BUCKET}/pods"
    with cluster(tmp_path / "cluster", monkeypatch.setenv) as pods:
        done = machine.snakemake(weights, "--container-image", image, check=False)
    logs = [pods.log(name).read_text() for name in pods.jobs]
    assert not done.returncode, "\n".join([done.output, *logs])
    assert len(pods.jobs) == 2
    assert not machine.files(f"{MODEL}/*"), "outputs of pods stay in the bucket"
    stored = contents("pods/")
    assert stored[f"pods/{weights}"] == contents("tiny/models/")[f"tiny/{weights}"]
    assert json.loads(stored[f"pods/{weights}{SUFFIX}"])["git"]["commit"] == git("rev-parse", "HEAD", root=machine.path)
    specifications = json.dumps(list(pods.jobs.values()))
    assert image in specifications
    for text in (specifications, done.output, *logs, *map(str, stored.values())):
        assert stores.SECRET not in text
