"""A run on an archive and a folder of images, and changes to its raw files."""

import json
import shutil
import zipfile

import pandas as pd
import pytest
from tests.pipeline.perturbations import REPORT
from tests.support.archives import encoded, mirror_of, montgomery_archive, picture, rewrite
from tests.support.checkout import copy_checkout, make_checkout
from tests.system.data_kinds.test_data import OWN, SHORT, write_own_images, write_split

RUN = OWN | {"run": "raw", "datasets": ["montgomery", "clinic"]}
ARCHIVE = "data/raw/montgomery/NLM-MontgomeryCXRSet.zip"
MEMBER = "MontgomerySet/CXR_png/MCUCXR_0001_1.png"
OWN_IMAGE = "data/raw/clinic/images/0_000.png"
OF_MODELS = ("train_segmenter", "segmenter_card", "sample", "predict", "measure_costs", "denoise_examples")
OF_DATA = ("look_at_data", "data_page", "version_data", "version_models")
AFTER_ONE_SET = REPORT | dict.fromkeys((*OF_MODELS, *OF_DATA, "certify", "collect", "pictures"), 1)


@pytest.fixture(scope="module")
def finished_raw_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    checkout = make_checkout(folder / "repo")
    (folder / "mirror").mkdir()
    montgomery_archive(folder / "mirror/NLM-MontgomeryCXRSet.zip", patients=40)
    write_own_images(checkout.path / "data/raw/clinic")
    write_split(checkout)
    checkout.keys = RUN | SHORT | {"mirror": str(mirror_of(folder / "mirror"))}
    checkout.configfile = checkout.configure(**checkout.keys)
    checkout.commit_everything()
    checkout.snakemake(configfile=checkout.configfile)
    return checkout


@pytest.fixture
def raw(finished_raw_once, tmp_path):
    return copy_checkout(finished_raw_once, tmp_path / "repo")


def test_a_mirrored_release_is_certified_on_its_test_images(finished_raw_once):
    table = pd.read_parquet(finished_raw_once.path / "results/raw/certificates.parquet")
    table = table[table["dataset"] == "montgomery"]
    assert set(table["class_name"]) == {"lungs"}
    splits = json.loads((finished_raw_once.path / "data/prepared/montgomery/splits.json").read_text())
    assert set(table["image"]) == set(splits["test"])
    assert not set(splits["train"]) & set(table["image"])


def test_a_folder_of_images_is_certified_on_its_test_images(finished_raw_once):
    table = pd.read_parquet(finished_raw_once.path / "results/raw/certificates.parquet")
    table = table[table["dataset"] == "clinic"]
    assert set(table["class_name"]) == {"lungs", "heart"}
    assert set(table["group"]) == {"6", "7"}
    manifest = json.loads((finished_raw_once.path / "data/raw/clinic/manifest.json").read_text())
    assert len(manifest["files"]) == 48
    assert "No image was attacked" in (finished_raw_once.path / "reports/raw/index.html").read_text()


def test_raw_and_prepared_data_are_restored_from_the_store(raw):
    shutil.rmtree(raw.path / "data")
    raw.dvc("checkout", "-q", "data.dvc")
    assert raw.stale(configfile="own.yaml") == {}


def test_changed_classes_and_a_new_image_make_a_folder_stale(raw, finished_raw_once):
    swapped = OWN["own_data"]["clinic"] | {"values": {0: "background", 128: "heart", 255: "lungs"}}
    raw.configure(**(finished_raw_once.keys | {"own_data": {"clinic": swapped}}))
    assert {"prepare_folder", "train_segmenter", "certify"} <= set(raw.stale(configfile="own.yaml"))
    raw.configure(**finished_raw_once.keys)
    assert raw.stale(configfile="own.yaml") == {}
    for kind, suffix in (("images", ""), ("masks", "_mask")):
        folder = raw.path / "data/raw/clinic" / kind
        shutil.copy(folder / f"1_001{suffix}.png", folder / f"1_099{suffix}.png")
    assert {"record_folder", "prepare_folder"} <= set(raw.stale(configfile="own.yaml"))


def one_pixel(pixels):
    changed = pixels.copy()
    changed[3, 5] ^= 1
    return changed


def one_pixel_in_the_archive(checkout):
    rewrite(checkout.path / ARCHIVE, MEMBER, encoded(one_pixel(picture("MCUCXR_0001_1", 48, 40)[0])))


def the_archive_of_fewer_patients(checkout):
    montgomery_archive(checkout.path / ARCHIVE, patients=39)


def one_pixel_of_an_own_image(checkout):
    (checkout.path / OWN_IMAGE).write_bytes(encoded(one_pixel(picture("own 0")[0])))


# (perturbation, jobs that would run again, first broken link of the audit)
AFTER_A_RELEASE = AFTER_ONE_SET | {"fetch": 1, "prepare_release": 1}
AFTER_A_FOLDER = AFTER_ONE_SET | {"record_folder": 1, "prepare_folder": 1}
CHANGES = {
    "one pixel of an image in an archive": (one_pixel_in_the_archive, AFTER_A_RELEASE, ARCHIVE),
    "an archive replaced": (the_archive_of_fewer_patients, AFTER_A_RELEASE, ARCHIVE),
    "one pixel of a user-supplied image": (one_pixel_of_an_own_image, AFTER_A_FOLDER, OWN_IMAGE),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_raw_image_is_noticed_and_named(raw, name):
    perturb, stale, first = CHANGES[name]
    assert raw.stale(configfile="own.yaml") == {}
    assert raw.broken(run="raw") == set()
    perturb(raw)
    assert raw.stale(configfile="own.yaml") == stale
    audit = raw.audit(run="raw")
    assert audit.first.path == first
    assert "reports/raw/index.html" in audit.downstream


def test_a_deleted_archive_is_only_a_notice_once_data_are_prepared(raw):
    (raw.path / ARCHIVE).unlink()
    assert raw.stale(configfile="own.yaml") == {}
    assert "is missing, so its checksum cannot be compared" in notices_of_the_archive(raw)


def test_the_audit_says_that_a_mirror_is_not_the_official_release(raw):
    assert "not the official release" in notices_of_the_archive(raw)


def notices_of_the_archive(checkout):
    notices = [finding for outcome in checkout.audit(run="raw").outcomes for finding in outcome.notices]
    return "\n".join(finding.message for finding in notices if finding.path == ARCHIVE)


def test_a_changed_archive_is_fetched_again_and_nothing_is_retrained(raw):
    """The changed archive is quarantined. Results stay the same, because the mirror has the same archive."""
    before = (raw.path / "data/prepared/montgomery/index.csv").read_bytes()
    one_pixel_in_the_archive(raw)
    raw.snakemake("data/prepared/montgomery/index.csv", configfile="own.yaml")
    assert (raw.path / "data/prepared/montgomery/index.csv").read_bytes() == before
    assert zipfile.is_zipfile(raw.path / f"{ARCHIVE}.rejected")
    assert raw.stale("data/prepared/montgomery/index.csv", configfile="own.yaml") == {}
    assert raw.stale(configfile="own.yaml") == {}, "the same data retrain nothing"
    assert raw.broken(run="raw") == set()
