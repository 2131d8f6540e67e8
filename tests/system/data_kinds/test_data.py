"""Data sets of every kind in the pipeline, and the jobs that run again when data change."""

import json
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
from tests.support.archives import (
    cvc_members,
    encoded,
    jsrt_archives,
    mirror_of,
    montgomery_archive,
    picture,
    write_rar,
)
from tests.support.checkout import copy_checkout, make_checkout

from segcert.votes import load_votes

SHORT = {"denoisers": ["none"], "regimes": ["clean"], "sigmas": [0.5], "attack": {"images": 0}}


def write_own_images(folder, count=24):
    """Write phantoms of eight patients as PNG images and masks."""
    for k in range(count):
        image, mask = picture(f"own {k}")
        for kind, name, pixels in (
            ("images", f"{k % 8}_{k:03d}.png", image),
            ("masks", f"{k % 8}_{k:03d}_mask.png", np.array([0, 128, 255], np.uint8)[mask]),
        ):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / name).write_bytes(encoded(pixels))


OWN = {
    "run": "own",
    "datasets": ["clinic"],
    "own_data": {
        "clinic": {
            "kind": "folder",
            "images": "data/raw/clinic/images",
            "masks": "data/raw/clinic/masks",
            "mask_suffix": "_mask.png",
            "values": {0: "background", 128: "lungs", 255: "heart"},
            "group_pattern": r"^(\d+)_",
            "pixel_size": [0.5, 0.5],
        }
    },
    "splits": {"clinic": "split.json"},
}


def test_jsrt_runs_the_whole_pipeline_with_three_structures(checkout):
    """The user put archives in the official format, with 12 bits, into data/raw.

    Networks work at 8x8. Certificates have 16x16 pixels, a weaker guarantee, exact noise and stored draws.
    """
    raw = checkout.path / "data/raw/jsrt"
    raw.mkdir(parents=True)
    jsrt_archives(raw, 8)
    (raw / "All247images.zip").rename(raw / "jsrt download.zip")
    with zipfile.ZipFile(raw / "masks.zip") as masks:  # unpacked: the archive differs from the published one
        masks.extractall(raw / "SCR")
    (raw / "masks.zip").unlink()
    method = {"noise": "exact", "method": "kfwer", "kfwer_k": 3, "pool": 2, "keep_draws": True}
    configfile = checkout.configure(run="jsrt", datasets=["jsrt"], regimes=["clean"], sigmas=[0.5], **method)
    checkout.snakemake(configfile=configfile)
    table = pd.read_parquet(checkout.path / "results/jsrt/certificates.parquet")
    assert set(table["class_name"]) == {"lungs", "heart", "clavicles"}
    assert set(table["image"]) == {f"JPC{kind}" for kind in ("LN002", "LN004", "NN006", "LN008")}
    intervals = pd.read_parquet(checkout.path / "results/jsrt/intervals.parquet")
    units = dict(zip(intervals["measurement"], intervals["unit"], strict=True))
    assert units["area_heart"] == "mm2 at the detector"
    assert "cardiothoracic_ratio" in units
    truth = intervals[intervals["measurement"] == "area_lungs"]["truth"]
    assert truth.between(0.02 * (2048 * 0.175) ** 2, 0.6 * (2048 * 0.175) ** 2).all()
    page = (checkout.path / "reports/jsrt/data.html").read_text()
    assert "No redistribution (images and masks)" in page
    assert "Shiraishi J" in page
    page = (checkout.path / "reports/jsrt/index.html").read_text()
    assert "fewer than k pixels of the image are certified wrongly" in page
    assert "lower bound" not in page.lower()
    assert "worst-case dice" not in page.lower()
    assert table[["worst_case_dice", "area_low", "area_high"]].isna().all(axis=None)
    assert set(table["method"]) == {"kfwer"}
    assert set(table["k"]) == {3}
    config = json.loads((checkout.path / "models/segmenter/jsrt/unet-clean/config.json").read_text())
    assert (config["image_size"], config["pool"]) == (16, 2)
    (path,) = checkout.files("results/jsrt/votes/jsrt/unet-clean/ddpm/sigma_0.5/*.npz")
    for vote in load_votes(path).values():
        assert vote.estimation.shape == (4, 16, 16)
        assert vote.origin["noise"] == "exact, 12 bits"
        assert np.array_equal((vote.label_maps()[5:] == 1).sum(axis=0), vote.estimation[1])
    assert checkout.stale(configfile=configfile) == {}


def write_split(checkout):
    """Write a split of the user-supplied images by patient."""
    names = sorted(path.stem for path in (checkout.path / "data/raw/clinic/images").iterdir())
    groups = {"train": "01234", "val": "5", "test": "67"}
    split = {side: [name for name in names if name[0] in chosen] for side, chosen in groups.items()}
    (checkout.path / "split.json").write_text(json.dumps(split))


@pytest.fixture
def own(checkout):
    write_own_images(checkout.path / "data/raw/clinic")
    write_split(checkout)
    checkout.configfile = checkout.configure(**(OWN | SHORT))
    return checkout


def test_unusable_images_are_all_named_and_nothing_is_half_written(own):
    folder = own.path / "data/raw/clinic"
    shutil.copy(folder / "images/0_000.png", folder / "images/1_001.png")
    (folder / "masks/2_002_mask.png").write_bytes(encoded(np.full((48, 48), 77, np.uint8)))
    done = own.snakemake("data/prepared/clinic/index.csv", configfile=own.configfile, check=False)
    assert done.returncode != 0
    assert "segcert: rule prepare_folder: clinic: 2 of 24 images cannot be used" in done.output
    assert "1_001 is the same image as 0_000" in done.output
    assert "2_002_mask.png: the mask contains 77 in 2304 pixels; expected 0, 128, 255" in done.output
    assert '`exclude: {clinic: ["1_001", "2_002"]}`' in done.output
    assert not (own.path / "data/prepared").exists() or not list((own.path / "data/prepared").iterdir())
    own.configfile = own.configure(**(OWN | SHORT), exclude={"clinic": ["1_001", "2_002"]})
    own.snakemake("data/prepared/clinic/index.csv", configfile=own.configfile)
    assert "excluded in the configuration" in (own.path / "data/prepared/clinic/left_out.csv").read_text()


def test_a_missing_image_folder_is_refused_before_anything_runs(checkout):
    configfile = checkout.configure(**(OWN | {"splits": {}}))
    done = checkout.snakemake("-n", configfile=configfile, check=False)
    assert done.returncode != 0
    assert "own_data.clinic.images: found 'data/raw/clinic/images', which is not a folder" in done.output


def test_a_changed_or_missing_prepared_image_is_restored_each_time(finished):
    index = "data/prepared/phantom/index.csv"
    image = finished.files("data/prepared/phantom/images/phantom_train_*.png")[0]
    before = image.read_bytes()
    for spoil in (lambda: image.write_bytes(before[:-1] + b"x"), image.unlink, image.unlink):
        spoil()
        finished.snakemake(index)
        assert image.read_bytes() == before
        assert finished.stale(index) == {}


@pytest.fixture(scope="module")
def two_sets_once(tmp_path_factory):
    """Return a checkout with Montgomery and CVC-ClinicDB, fetched from a mirror and prepared."""
    mirror = tmp_path_factory.mktemp("two") / "mirror"
    mirror.mkdir()
    checkout = make_checkout(mirror.with_name("repo"))
    montgomery_archive(mirror / "NLM-MontgomeryCXRSet.zip", patients=40)
    write_rar(mirror / "CVC-ClinicDB.rar", cvc_members(range(1, 613, 20)))
    checkout.configfile = checkout.configure(run="two", datasets=["montgomery", "cvc_clinicdb"], **SHORT)
    checkout.targets = [f"data/prepared/{name}/index.csv" for name in ("montgomery", "cvc_clinicdb")]
    checkout.snakemake(*checkout.targets, "--config", f"mirror={mirror_of(mirror)}", configfile=checkout.configfile)
    return checkout


@pytest.fixture
def two_sets(two_sets_once, tmp_path):
    copy = copy_checkout(two_sets_once, tmp_path / "repo")
    copy.configfile, copy.targets = two_sets_once.configfile, two_sets_once.targets
    return copy


def test_the_module_of_a_data_set_makes_only_its_own_data_stale(two_sets):
    def stale():
        return two_sets.stale(*two_sets.targets, configfile=two_sets.configfile)

    assert stale() == {}
    two_sets.edit("scripts/segcert/data/sets/cvc_clinicdb.py", "number = int(", "number = 0 + int(")
    assert stale() == {"prepare_release": 1}
    two_sets.edit("scripts/segcert/data/phantom.py", "OVERSAMPLING = 2", "OVERSAMPLING = 3")
    two_sets.edit("scripts/segcert/data/user_data.py", 'BACKGROUND = "background"', 'BACKGROUND = "back" + "ground"')
    assert stale() == {"prepare_release": 1}
    two_sets.edit("scripts/segcert/data/release.py", "labels = np.zeros(", "labels = 0 + np.zeros(")
    assert stale() == {"prepare_release": 2}


def test_a_new_split_or_exclusion_prepares_only_that_set_again(two_sets):
    for keys in ({"splits": {"cvc_clinicdb": "frames"}}, {"exclude": {"cvc_clinicdb": ["cvc_001"]}}):
        configfile = two_sets.configure(run="two", datasets=["montgomery", "cvc_clinicdb"], **SHORT, **keys)
        assert two_sets.stale(*two_sets.targets, configfile=configfile) == {"prepare_release": 1}


def test_jobs_run_the_library_of_their_own_checkout(two_sets):
    """Even if another library is installed, as here: code digests are those of the files next to the Snakefile."""
    two_sets.edit("scripts/segcert/data/prepare.py", "images were prepared", "images of this very checkout")
    two_sets.snakemake("--force", two_sets.targets[0], configfile=two_sets.configfile)
    assert "of this very checkout" in (two_sets.path / "logs/prepare/montgomery.log").read_text()
