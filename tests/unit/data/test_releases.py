"""Fetch, read and prepare the official releases, from synthetic archives in their original formats."""

import json

import numpy as np
import pytest
from tests.support.archives import (
    cvc_members,
    encoded,
    isic_archives,
    jsrt_archives,
    jsrt_image,
    kvasir_archive,
    mirror_of,
    montgomery_archive,
    picture,
    rewrite,
    shenzhen_archives,
    write_rar,
    write_zip,
)

from segcert.data.catalogue import NAMES, ImageKey, module_of
from segcert.data.dataset import PreparedDataset
from segcert.data.errors import DataError
from segcert.data.fetch import fetch
from segcert.data.manifest import open_raw
from segcert.data.prepare import Form, prepare
from segcert.data.sets.cvc_clinicdb import LAST_FRAMES
from segcert.data.sets.jsrt import decode_img

WRITERS = {
    "montgomery": lambda folder: montgomery_archive(folder / "NLM-MontgomeryCXRSet.zip", 40),
    "shenzhen": lambda folder: shenzhen_archives(folder, 20),
    "jsrt": jsrt_archives,
    "isic2018": isic_archives,
    "cvc_clinicdb": lambda folder: write_rar(folder / "CVC-ClinicDB.rar", cvc_members(range(1, 613, 20))),
    "kvasir_seg": lambda folder: kvasir_archive(folder / "kvasir-seg.zip", 20),
}


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    return folder


def read(name, mirror, raw):
    """Fetch a release from a folder of archives, find its pairs and load them."""
    about, layout = module_of(name).DATASET, module_of(name).LAYOUT
    fetch(about, raw, str(mirror_of(mirror)))
    with open_raw(raw) as files:
        found = layout.find(files, about)
        return about, found, {pair.name: pair.load() for pair in found.pairs}


@pytest.mark.parametrize("name", WRITERS)
def test_every_release_goes_from_archive_to_common_format(tmp_path, mirror, name):
    WRITERS[name](mirror)
    about, layout = module_of(name).DATASET, module_of(name).LAYOUT
    fetch(about, tmp_path / "raw", str(mirror_of(mirror)))
    with open_raw(tmp_path / "raw") as files:
        prepare(about, layout.find(files, about), tmp_path / "prepared", Form(32), workers=2)
    dataset = PreparedDataset(tmp_path / "prepared" / "index.csv")
    assert dataset.about["classes"] == list(about.classes)
    for split in ("train", "val", "test"):
        images, masks = dataset.stack(split)
        assert images.shape[1:] == (about.channels, 32, 32)
        assert images.dtype == np.float32
        assert 0 <= images.min() < images.max() <= 1
        for mask in masks:
            assert set(np.unique(mask)) == set(range(len(about.classes)))
    groups = {row.group: row.split for row in dataset.rows.values()}
    assert all(row.split == groups[row.group] for row in dataset.rows.values()), "no group is in two splits"


def test_the_catalogue_is_complete():
    for name in NAMES:
        about = module_of(name).DATASET
        assert about.name == name
        assert about.classes[0] == "background"
        assert about.citation
        assert about.licence
        assert about.terms
        for archive in about.archives:
            assert archive.url or archive.page
            assert archive.sha256 is None or len(archive.sha256) == 64


def test_montgomery_joins_the_lungs(tmp_path, mirror):
    montgomery_archive(mirror / "NLM-MontgomeryCXRSet.zip", 20)
    _, found, loaded = read("montgomery", mirror, tmp_path / "raw")
    assert [pair.name for pair in found.pairs] == [f"MCUCXR_{k:04d}_{k % 2}" for k in range(1, 21)]
    assert [pair.group for pair in found.pairs] == [f"{k:04d}" for k in range(1, 21)]
    for name, (image, mask) in loaded.items():
        gray, truth = picture(f"{name}.png", height=40)
        assert np.array_equal(image.pixels[0], gray)
        assert np.array_equal(mask == 1, truth == 1)


def test_shenzhen_leaves_out_and_lists_images_without_a_mask(tmp_path, mirror):
    shenzhen_archives(mirror, 10, without_mask=(3, 7))
    _, found, loaded = read("shenzhen", mirror, tmp_path / "raw")
    assert [each.name for each in found.left_out] == ["CHNCXR_0003_1", "CHNCXR_0007_1"]
    assert str(found.left_out[0]).endswith(
        "ChinaSet_AllFiles.zip: ChinaSet_AllFiles/CXR_png/CHNCXR_0003_1.png: no mask of the lungs"
    )
    assert len(loaded) == 8
    assert all(len(image.pixels) == 1 for image, _ in loaded.values()), "gray images saved as RGB have one channel"


def test_jsrt_is_inverted_to_high_is_bright_and_keeps_twelve_bits(tmp_path, mirror):
    jsrt_archives(mirror)
    about, found, loaded = read("jsrt", mirror, tmp_path / "raw")
    assert {pair.name: pair.part for pair in found.pairs}.items() >= {"JPCLN001": "1", "JPCNN006": "2"}.items()
    image, _ = loaded["JPCLN001"]
    gray, _ = picture("JPCLN001")
    expected = 16 * np.kron(gray.astype(int), np.ones((43, 43), int))[:2048, :2048]
    assert np.array_equal(image.pixels[0], expected)
    assert (image.bits, image.pixel_size) == (12, (0.175, 0.175))
    with open_raw(tmp_path / "raw") as files:
        prepare(about, module_of("jsrt").LAYOUT.find(files, about), tmp_path / "prepared", Form(64))
    dataset = PreparedDataset(tmp_path / "prepared" / "index.csv")
    assert dataset.pixel_scale("JPCLN001") == ((5.6, 5.6), "mm at the detector")
    assert dataset.pixel_size("JPCLN001") is None
    steps = dataset.image("JPCLN001") * 4095
    assert np.abs(steps - np.rint(steps)).max() < 1e-2
    assert np.abs(steps[0] - expected.reshape(64, 32, 64, 32).mean(axis=(1, 3))).max() <= 0.51


def test_jsrt_heart_is_painted_over_the_lungs_and_clavicles_over_both(tmp_path, mirror):
    jsrt_archives(mirror)
    about, _, loaded = read("jsrt", mirror, tmp_path / "raw")
    assert about.classes == ("background", "lungs", "heart", "clavicles")
    for name, (_, mask) in loaded.items():
        _, masks = jsrt_image(name)
        clavicles = (masks["left clavicle"] | masks["right clavicle"]) > 0
        heart = (masks["heart"] > 0) & ~clavicles
        lungs = ((masks["left lung"] | masks["right lung"]) > 0) & ~clavicles & ~heart
        assert (masks["heart"] & (masks["left lung"] | masks["right lung"])).any(), "they overlap"
        for class_id, expected in enumerate((lungs, heart, clavicles), start=1):
            assert np.array_equal(mask == class_id, expected)


def test_a_raw_image_of_another_size_or_byte_order_is_refused():
    data, _ = jsrt_image("x")
    with pytest.raises(DataError, match="has 8388607 bytes; expected 8388608"):
        decode_img(data[:-1])
    with pytest.raises(DataError, match=r"expected at most 4095 \(12 bits, big-endian\)"):
        decode_img(np.frombuffer(data, ">u2").astype("<u2").tobytes())


def test_isic_has_the_official_split(tmp_path, mirror):
    isic_archives(mirror, {"Training": 3, "Validation": 2, "Test": 1})
    about, found, _ = read("isic2018", mirror, tmp_path / "raw")
    rule = about.splits["official"]
    splits = [rule.split_of(ImageKey("isic2018", pair.name, pair.group, pair.part)) for pair in found.pairs]
    assert splits == ["train"] * 3 + ["val"] * 2 + ["test"]


def test_clinicdb_frames_belong_to_their_sequences(tmp_path, mirror):
    frames = [1, 25, 26, 50, 51, 67, 591, 592, 612]
    write_rar(mirror / "CVC-ClinicDB.rar", cvc_members(frames))
    _, found, loaded = read("cvc_clinicdb", mirror, tmp_path / "raw")
    assert [pair.name for pair in found.pairs] == [f"cvc_{frame:03d}" for frame in frames]
    assert [pair.group for pair in found.pairs] == [f"sequence_{k:02d}" for k in (1, 1, 2, 2, 3, 3, 28, 29, 29)]
    assert len(LAST_FRAMES) == 29
    assert {len(image.pixels) for image, _ in loaded.values()} == {3}


def test_the_published_split_of_clinicdb_is_available_and_marked_as_leaking():
    about = module_of("cvc_clinicdb").DATASET
    rule = about.splits["frames"]
    names = [f"cvc_{frame:03d}" for frame in range(1, 613)]
    splits = [rule.split_of(ImageKey(about.name, name, name)) for name in names]
    assert [splits.count(split) for split in ("train", "val", "test")] == [490, 61, 61]
    assert rule.leaks
    assert next(iter(about.splits)) == "groups"
    assert not about.splits["groups"].leaks


def test_clinicdb_as_zip_in_the_mirror_is_used_too(tmp_path, mirror):
    write_zip(mirror / "CVC-ClinicDB.zip", cvc_members([1, 30]))
    _, found, _ = read("cvc_clinicdb", mirror, tmp_path / "raw")
    assert len(found.pairs) == 2
    (entry,) = json.loads((tmp_path / "raw" / "manifest.json").read_text())["archives"]
    assert (entry["name"], entry["official"]) == ("CVC-ClinicDB.zip", None)


def test_kvasir_masks_are_thresholded_from_jpeg(tmp_path, mirror):
    WRITERS["kvasir_seg"](mirror)
    _, _, loaded = read("kvasir_seg", mirror, tmp_path / "raw")
    _, mask = loaded["cju0003x"]
    _, truth = picture("kvasir 3")
    assert set(np.unique(mask)) == {0, 1}
    assert np.mean(mask == (truth == 2)) > 0.99


LEFT = "MontgomerySet/ManualMask/leftMask/MCUCXR_0002_0.png"
IMAGE = "MontgomerySet/CXR_png/MCUCXR_0002_0.png"


def test_a_mask_without_an_image_is_listed_by_name(tmp_path, mirror):
    rewrite(montgomery_archive(mirror / "NLM-MontgomeryCXRSet.zip"), IMAGE, None)
    _, found, _ = read("montgomery", mirror, tmp_path / "raw")
    assert [each.name for each in found.left_out] == ["MCUCXR_0002_0"]
    assert str(found.left_out[0]).endswith(f"{LEFT.replace('left', 'right')}: a mask without an image")


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        (LEFT, encoded(np.zeros((5, 6), np.uint8)), f"{LEFT}: the mask is 6x5 pixels; expected 48x40"),
        (IMAGE, b"this is no image", f"{IMAGE}: the file cannot be read as an image"),
        (IMAGE, encoded(picture("x")[0])[:200], f"{IMAGE}: the file cannot be read as an image"),
    ],
    ids=["mask of another size", "no image", "truncated image"],
)
def test_bad_members_are_refused_by_name(tmp_path, mirror, member, content, message):
    rewrite(montgomery_archive(mirror / "NLM-MontgomeryCXRSet.zip"), member, content)
    with pytest.raises(DataError, match=message) as error:
        read("montgomery", mirror, tmp_path / "raw")
    assert "NLM-MontgomeryCXRSet.zip" in str(error.value)


def test_another_archive_is_refused(tmp_path, mirror):
    write_zip(mirror / "NLM-MontgomeryCXRSet.zip", {"readme.txt": b"hello"})
    with pytest.raises(DataError, match=r"contains no file .*not the expected archive NLM-MontgomeryCXRSet"):
        read("montgomery", mirror, tmp_path / "raw")


def test_two_files_of_one_name_are_refused(tmp_path, mirror):
    archive = montgomery_archive(mirror / "NLM-MontgomeryCXRSet.zip")
    rewrite(archive, f"copy/{IMAGE}", encoded(picture("x", height=40)[0]))
    with pytest.raises(DataError, match="have the same name"):
        read("montgomery", mirror, tmp_path / "raw")


def test_deeper_files_are_scaled_to_the_depth_of_the_set(tmp_path, mirror):
    full = 4095  # the release states 12 bits
    pixels = np.linspace(0, full, 40 * 48).reshape(40, 48).astype(np.uint16)
    rewrite(montgomery_archive(mirror / "NLM-MontgomeryCXRSet.zip"), IMAGE, encoded(pixels))
    _, _, loaded = read("montgomery", mirror, tmp_path / "raw")
    image, _ = loaded["MCUCXR_0002_0"]
    assert image.bits == 8
    assert np.abs(image.pixels[0] / 255 - pixels / full).max() < 0.003
