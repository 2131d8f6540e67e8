"""A published run is restored elsewhere: nothing has to run again, and no stale file passes for fresh."""

import hashlib
import shutil
import subprocess

import pytest
from PIL import Image
from tests.pipeline.perturbations import AFTER_CERTIFY, VIEWER, delete, edit, write
from tests.support.checkout import TINY, Checkout, copy_checkout
from tests.system.storage import stores

from segcert.provenance.preparation import Preparation

POINTERS = ("data.dvc", "models.dvc", "results.dvc", "reports/tiny.dvc")
SEGMENTER = "models/segmenter/phantom/unet-clean"


def publish(checkout, message):
    output = checkout.snakemake("push").output
    checkout.git("add", "-f", *POINTERS)
    checkout.git("commit", "-qam", message)
    return output


def clone(published, path):
    subprocess.run(["git", "clone", "-q", published.path, path], check=True)
    store = published.path.with_name("segcert-store")
    if store.exists() and path.parent != published.path.parent:
        shutil.copytree(store, path.with_name(store.name))
    return Checkout(path)


@pytest.fixture(scope="session")
def published(finished_once, tmp_path_factory):
    """Return a checkout that has pushed the tiny run to a folder next to it."""
    published = copy_checkout(finished_once, tmp_path_factory.mktemp("published") / "repo")
    publish(published, "A run")
    return published


@pytest.fixture(scope="session")
def pulled_once(published):
    """Return a clone that has pulled but not planned anything yet."""
    pulled = clone(published, published.path.with_name("clone"))
    pulled.dvc("pull", "-q")
    return pulled


@pytest.fixture
def pulled(pulled_once, tmp_path):
    return copy_checkout(pulled_once, tmp_path / "clone")


def check_restored(published, path):
    """Assert that a clone that pulls is up to date and still notices changes."""
    restored = clone(published, path)
    assert restored.stale()["train_denoiser"] == 1, "a plan before the pull must not harm it"
    restored.snakemake("pull")
    assert "Nothing to be done" in restored.snakemake("-n").output
    assert restored.broken() == set()
    assert restored.stale("--config", "tau=0.7") == AFTER_CERTIFY
    votes = restored.files("results/tiny/votes/phantom/unet-clean/none/sigma_0.5/*.npz")[0]
    votes.write_bytes(votes.read_bytes() + b"x")
    assert restored.stale()["certify"] == 1


def test_a_clone_that_pulls_from_a_folder_is_up_to_date(published, tmp_path):
    check_restored(published, tmp_path / "clone")


def test_a_clone_that_pulls_from_s3_is_up_to_date(finished, tmp_path, monkeypatch):
    with stores.seaweedfs(finished, tmp_path / "store", monkeypatch.setenv):
        publish(finished, "A run")
        check_restored(finished, tmp_path / "clone")


def test_models_survive_a_push_and_pull_through_another_s3_server(finished, tmp_path, monkeypatch):
    """Servers only differ in their answers to DVC; the rest is tested above."""
    with stores.moto(finished, tmp_path / "store", monkeypatch.setenv):
        finished.dvc("push", "-q", "models.dvc")
        finished.git("add", "-f", "models.dvc")
        finished.git("commit", "-qm", "Models")
        restored = clone(finished, tmp_path / "clone")
        restored.dvc("pull", "-q", "models.dvc")
    for path in finished.files("models/**/*.safetensors"):
        assert (restored.path / path.relative_to(finished.path)).read_bytes() == path.read_bytes()


def test_a_push_fails_and_names_files_missing_from_the_cache(finished):
    votes = finished.files("results/tiny/votes/**/*.npz")[0].relative_to(finished.path).as_posix()
    md5 = hashlib.md5((finished.path / votes).read_bytes(), usedforsecurity=False).hexdigest()
    (finished.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    done = finished.snakemake("push", check=False)
    assert done.returncode
    assert f"missing from DVC's cache:\n  {votes}\n" in done.output
    store = finished.path.with_name("segcert-store")
    assert not store.exists()
    finished.snakemake(*done.output.split("and push: snakemake ")[1].splitlines()[0].split())
    assert (store / "files/md5" / md5[:2] / md5[2:]).exists()


def blacken_an_image(checkout):
    image = checkout.files("data/prepared/phantom/images/*_test_*.png")[0]
    Image.new("L", Image.open(image).size).save(image)


CHANGES = {
    "tau": edit(TINY, "n: 50", "n: 50\ntau: 0.7"),
    "training": edit("scripts/segcert/training/loop.py", "MAX_GRADIENT_NORM = 1.0", "MAX_GRADIENT_NORM = 2.0"),
    "scipy": edit("envs/lock-run.txt", "scipy==", "scipy==0"),
    "model": write(f"{SEGMENTER}/config.json", b"{}"),
    "image": blacken_an_image,
    "page": delete("reports/tiny/index.html"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_before_the_first_plan_are_as_stale_as_after_the_run(pulled, finished, name):
    CHANGES[name](pulled)
    CHANGES[name](finished)
    stale = pulled.stale()
    assert stale
    assert stale == finished.stale()


def test_files_changed_before_the_first_plan_are_named(pulled):
    CHANGES["model"](pulled)
    assert f"{SEGMENTER}/config.json: differs from the file that its job made" in pulled.snakemake("-n").output


def test_a_colleague_with_an_older_run_can_pull_the_newer_one(published, tmp_path):
    anna, bert = copy_checkout(published, tmp_path / "anna"), copy_checkout(published, tmp_path / "bert")
    anna.edit("tests/support/tiny.yaml", "examples: 1", "examples: 1, viewer: 30")
    publish(anna, "A smaller viewer")
    bert.git("pull", "-q", str(anna.path), "HEAD")
    assert bert.stale() == VIEWER
    bert.dvc("pull", "-q")
    assert bert.stale() == {}
    bert.git("checkout", "-q", "HEAD~1")
    bert.dvc("checkout", "-q")
    assert bert.stale() == {}, "the older run is restored as well"


def test_a_single_data_set_and_a_single_model_can_be_pulled(published, tmp_path):
    partial = clone(published, tmp_path / "clone")
    everything = partial.stale()
    partial.dvc("pull", "-q", "data/prepared/phantom", SEGMENTER)
    image = partial.files("data/prepared/phantom/images/*_test_*.png")[0]
    partial.segcert("certify", image, "--segmenter", SEGMENTER, "--sigma", "0.25", "--out", "own")
    assert (partial.path / f"own/{image.stem}.certificate.json").exists()
    partial.dvc("pull", "-q", "results/.trail")
    assert everything["prepare_phantom"] == 1
    assert "prepare_phantom" not in partial.stale()
    with partial.inside():
        record = Preparation().look().record("data/prepared/phantom/index.csv")
    assert record["rule"] == "prepare_phantom"
    partial.dvc("pull", "-q")
    assert partial.stale() == {}, "files pulled later are restored later"


def test_results_without_data_and_models_are_up_to_date(published, tmp_path):
    partial = clone(published, tmp_path / "clone")
    partial.dvc("pull", "-q", "results", "reports/tiny.dvc")
    assert partial.stale() == {}


def test_other_settings_are_noticed_without_the_records_of_snakemake(finished):
    certificate = "results/tiny/certificates/phantom/unet-clean/none/sigma_0.5.npz"
    finished.snakemake(certificate, "--config", "tau=0.7")
    shutil.rmtree(finished.path / ".snakemake")
    assert finished.stale()["certify"] == 1
