import csv
import json
import zipfile

import numpy as np
import pytest
from tests.archives import montgomery_archive, png_bytes, rewrite

from segcert.data.errors import DataError
from segcert.data.images import resize_image, resize_mask
from segcert.data.loading import PreparedDataset
from segcert.data.montgomery import read_montgomery
from segcert.data.phantom import draw_phantom, phantoms
from segcert.data.prepare import prepare
from segcert.data.splits import SPLITS, split_of


def prepare_phantom(folder, size=32):
    prepare("phantom", phantoms({"train": 3, "val": 2, "test": 2}, size), folder, size, lambda sample: sample.group)
    return PreparedDataset(folder / "index.csv")


def test_phantoms_repeat_and_differ():
    a, b = draw_phantom("one", "test", 64), draw_phantom("one", "test", 64)
    assert np.array_equal(a.image, b.image)
    assert np.array_equal(a.mask, b.mask)
    assert not np.array_equal(a.image, draw_phantom("two", "test", 64).image)


def test_phantoms_have_both_organs_and_dark_lungs():
    for k in range(20):
        sample = draw_phantom(f"p{k}", "test", 64)
        assert set(np.unique(sample.mask)) == {0, 1, 2}
        shares = [(sample.mask == class_id).mean() for class_id in range(3)]
        assert 0.1 < shares[1] < 0.5
        assert 0.02 < shares[2] < 0.2
        assert sample.image[sample.mask == 1].mean() < sample.image[sample.mask == 2].mean()


def test_common_format(tmp_path):
    dataset = prepare_phantom(tmp_path / "phantom")
    with (tmp_path / "phantom" / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "group", "split", "digest", "mask_digest"]
    assert dataset.names("test") == ["phantom_test_0000", "phantom_test_0001"]
    assert dataset.names("test", 1) == ["phantom_test_0000"]
    for split in SPLITS:
        assert (tmp_path / "phantom" / "splits" / f"{split}.txt").read_text().split() == dataset.names(split)
    images, masks = dataset.stack(dataset.names("train"))
    assert (images.shape, images.dtype) == ((3, 1, 32, 32), np.uint8)
    assert masks.shape == (3, 32, 32)
    assert json.loads((tmp_path / "phantom" / "dataset.json").read_text())["synthetic"] is True


def test_preparing_twice_gives_the_same_bytes(tmp_path):
    for name in "ab":
        prepare_phantom(tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 2 * 7 + 5
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()


def test_a_changed_or_missing_image_is_named(tmp_path):
    dataset = prepare_phantom(tmp_path / "phantom")
    path = tmp_path / "phantom" / "images" / "phantom_test_0000.png"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=r"phantom_test_0000\.png: differs from its digest"):
        dataset.image("phantom_test_0000")
    path.unlink()
    with pytest.raises(DataError, match=r"phantom_test_0000\.png: missing"):
        dataset.image("phantom_test_0000")


def test_splits_go_by_name_alone_and_in_the_stated_shares():
    splits = [split_of("montgomery", f"{number:04d}") for number in range(4000)]
    assert splits == [split_of("montgomery", f"{number:04d}") for number in range(4000)]
    for split, share in {"train": 0.65, "val": 0.10, "test": 0.25}.items():
        assert splits.count(split) / 4000 == pytest.approx(share, abs=0.03)


def test_resize_averages_images_and_keeps_classes():
    image = np.array([[0, 100], [200, 100]], np.uint8)
    assert resize_image(image.repeat(4, 0).repeat(4, 1), 2).tolist() == image.tolist()
    assert resize_image(image, 1).tolist() == [[100]]
    mask = np.array([[0, 2, 2], [2, 1, 2], [2, 2, 1]], np.uint8)
    assert resize_mask(mask, 1, 3).tolist() == [[2]]


def test_montgomery_joins_the_lungs_and_passes_stray_files_over(tmp_path):
    archive = montgomery_archive(tmp_path / "a.zip", patients=4)
    samples = list(read_montgomery(archive))
    assert [sample.name for sample in samples] == [f"MCUCXR_{k:04d}_{k % 2}" for k in range(1, 5)]
    assert [sample.group for sample in samples] == [f"{k:04d}" for k in range(1, 5)]
    for sample in samples:
        assert sample.image.shape == sample.mask.shape
        columns = np.flatnonzero((sample.mask == 1).any(axis=0))
        assert columns.min() < sample.mask.shape[1] / 2 < columns.max(), "both lungs"


def test_a_truncated_archive_is_refused_by_name(tmp_path):
    archive = montgomery_archive(tmp_path / "a.zip")
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"a\.zip: not a whole zip archive"):
        list(read_montgomery(archive))


def test_a_damaged_member_is_refused(tmp_path):
    archive = montgomery_archive(tmp_path / "a.zip", compression=zipfile.ZIP_STORED)
    content = bytearray(archive.read_bytes())
    at = content.index(b"IDAT") + 20
    content[at] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip"):
        list(read_montgomery(archive))


LEFT = "MontgomerySet/ManualMask/leftMask/MCUCXR_0002_0.png"
IMAGE = "MontgomerySet/CXR_png/MCUCXR_0002_0.png"


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        (LEFT, None, f"{IMAGE} has no mask {LEFT}"),
        (LEFT, png_bytes(np.zeros((5, 6), np.uint8)), f"{LEFT} is 6x5, its image 48x40"),
        (IMAGE, b"this is no image", f"{IMAGE} cannot be read as an image"),
        (IMAGE, png_bytes(np.zeros((40, 48), np.uint8))[:40], f"{IMAGE} cannot be read as an image"),
    ],
    ids=["missing mask", "mask of another size", "no image", "truncated image"],
)
def test_bad_members_are_refused_by_name(tmp_path, member, content, message):
    archive = rewrite(montgomery_archive(tmp_path / "a.zip"), member, content)
    with pytest.raises(DataError, match=message) as error:
        list(read_montgomery(archive))
    assert "a.zip" in str(error.value)


def test_another_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match="is it the official archive"):
        list(read_montgomery(tmp_path / "a.zip"))


def test_a_refusal_leaves_the_prepared_folder_as_it_was(tmp_path):
    archive = rewrite(montgomery_archive(tmp_path / "a.zip"), LEFT, None)
    with pytest.raises(DataError):
        prepare("montgomery", read_montgomery(archive), tmp_path / "prepared", 32, lambda sample: "train")
    assert not (tmp_path / "prepared").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_an_empty_split_is_refused(tmp_path):
    archive = montgomery_archive(tmp_path / "a.zip")
    with pytest.raises(DataError, match="split 'val'"):
        prepare("montgomery", read_montgomery(archive), tmp_path / "prepared", 32, lambda sample: "train")


@pytest.mark.parametrize("full", [4095, 65535])
def test_sixteen_bit_images_are_scaled_and_not_clipped(tmp_path, full):
    pixels = np.linspace(0, full, 40 * 48).reshape(40, 48).astype(np.uint16)
    archive = rewrite(montgomery_archive(tmp_path / "a.zip"), IMAGE, png_bytes(pixels))
    image = next(sample.image for sample in read_montgomery(archive) if sample.group == "0002")
    assert np.abs(image / 255 - pixels / full).max() < 0.003
