"""The common format: what is written, and errors that leave nothing behind."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from segcert.data.dataset import SPLITS, PreparedDataset
from segcert.data.errors import DataError
from segcert.data.pairs import LeftOut, Pair, SearchResult
from segcert.data.phantom import draw_phantom, find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.raster import Raster
from segcert.data.sets.montgomery import DATASET as MONTGOMERY
from segcert.data.sets.phantom import DATASET as PHANTOM

ABOUT = dataclasses.replace(MONTGOMERY, classes=("background", "lungs", "heart"))


def prepare_phantom(folder, size=32, workers=1):
    prepare(PHANTOM, find_phantoms({"train": 3, "val": 2, "test": 2}, size), folder, Form(size), workers=workers)
    return PreparedDataset(folder / "index.csv")


def pairs(count=40, **changed):
    """Return phantoms as pairs of a data set that is split by a hash of its groups. Replace some by name."""
    found = {f"p{k:02d}": lambda name=f"p{k:02d}": draw_phantom(name, 32) for k in range(count)}
    return [Pair(name, name, load) for name, load in (found | changed).items()]


def refused(folder, found, match, **options):
    """Check that `prepare` fails and leaves the folder empty. Return the message."""
    with pytest.raises(DataError, match=match) as error:
        prepare(ABOUT, found, folder / "prepared", Form(16), workers=2, **options)
    assert list(folder.iterdir()) == []
    return str(error.value)


def test_phantoms_are_reproducible_and_differ_by_name():
    (a, mask_a), (b, mask_b) = draw_phantom("one", 64), draw_phantom("one", 64)
    assert np.array_equal(a.pixels, b.pixels)
    assert np.array_equal(mask_a, mask_b)
    assert not np.array_equal(a.pixels, draw_phantom("two", 64)[0].pixels)


def test_phantoms_have_both_organs_and_dark_lungs():
    for k in range(20):
        image, mask = draw_phantom(f"p{k}", 64)
        assert set(np.unique(mask)) == {0, 1, 2}
        shares = [(mask == class_id).mean() for class_id in range(3)]
        assert 0.1 < shares[1] < 0.5
        assert 0.02 < shares[2] < 0.2
        assert image.pixels[0][mask == 1].mean() < image.pixels[0][mask == 2].mean()


def test_common_format(tmp_path):
    dataset = prepare_phantom(tmp_path / "phantom")
    with (tmp_path / "phantom" / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = "image group split digest mask_digest height width pixel_height pixel_width pixel_unit"
    assert list(rows[0]) == columns.split()
    assert dataset.names("test") == ["phantom_test_0000", "phantom_test_0001"]
    assert dataset.names("test", 1) == ["phantom_test_0000"]
    stated = json.loads((tmp_path / "phantom" / "splits.json").read_text())
    assert (stated["rule"], stated["leaks"]) == ("made", False)
    for split in SPLITS:
        assert stated[split] == dataset.names(split)
    images, masks = dataset.stack("train")
    assert (images.shape, images.dtype) == ((3, 1, 32, 32), np.float32)
    assert masks.shape == (3, 32, 32)
    card = json.loads((tmp_path / "phantom" / "dataset.json").read_text())
    assert (card["synthetic"], card["image_size"], card["keep_aspect"]) == (True, 32, False)
    assert (tmp_path / "phantom" / "left_out.csv").read_text() == "name,reason,file\n"


def test_preparing_twice_with_any_number_of_workers_gives_the_same_bytes(tmp_path):
    prepare_phantom(tmp_path / "a")
    prepare_phantom(tmp_path / "b", workers=4)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 2 * 7 + 4
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()


def test_a_changed_or_missing_image_is_named(tmp_path):
    dataset = prepare_phantom(tmp_path / "phantom")
    path = tmp_path / "phantom" / "images" / "phantom_test_0000.png"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=r"phantom_test_0000\.png: the file does not match its digest"):
        dataset.image("phantom_test_0000")
    path.unlink()
    with pytest.raises(DataError, match=r"phantom_test_0000\.png: missing"):
        dataset.image("phantom_test_0000")


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [(",test,", ",tests,", "split"), (",32,32", ",32,x", "width"), ("phantom_val_0001,", ",", "image")],
)
def test_the_index_is_checked_by_a_schema(tmp_path, old, new, column):
    dataset = prepare_phantom(tmp_path / "phantom")
    text = dataset.index.read_text()
    dataset.index.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=f"index.csv: line .*, column `{column}`: found") as error:
        dataset.names("test")
    assert "run snakemake again" in str(error.value)


def test_padding_can_keep_the_aspect(tmp_path):
    wide = Raster(np.full((1, 20, 40), 100, np.uint16), 8, (0.5, 0.5))
    mask = np.ones((20, 40), np.uint8)
    found = SearchResult(pairs(p00=lambda: (wide, mask)))
    prepare(ABOUT, found, tmp_path / "a", Form(16, keep_aspect=True))
    dataset = PreparedDataset(tmp_path / "a" / "index.csv")
    image, labels = dataset.image("p00")[0], dataset.mask("p00")
    assert not image[:4].any()
    assert not image[12:].any()
    assert np.allclose(image[4:12], 100 / 255)
    assert np.array_equal(labels == 1, image > 0)
    assert dataset.pixel_size("p00") == (1.25, 1.25)
    prepare(ABOUT, found, tmp_path / "b", Form(16))
    assert PreparedDataset(tmp_path / "b" / "index.csv").pixel_size("p00") == (0.625, 1.25)


@pytest.mark.parametrize(
    ("pixel_size", "unit", "keep_aspect", "expected"),
    [
        ((0.5, 0.25), "mm", False, ((0.625, 0.625), "mm")),
        ((0.5, 0.25), "mm at the detector", True, ((1.25, 0.625), "mm at the detector")),
        ((2.0, 1.0), "original pixel widths", False, ((2.5, 2.5), "original pixel widths")),
        (None, "mm", False, ((1.25, 2.5), "original pixels")),
        (None, "mm", True, (None, "pixels")),
    ],
)
def test_prepared_pixels_have_a_size_and_its_unit(tmp_path, pixel_size, unit, keep_aspect, expected):
    wide = Raster(np.full((1, 20, 40), 100, np.uint16), 8, pixel_size, length_unit=unit)
    found = SearchResult(pairs(p00=lambda: (wide, np.ones((20, 40), np.uint8))))
    prepare(ABOUT, found, tmp_path / "a", Form(16, keep_aspect=keep_aspect))
    dataset = PreparedDataset(tmp_path / "a" / "index.csv")
    assert dataset.pixel_scale("p00") == expected
    assert dataset.pixel_size("p00") == (expected[0] if expected[1] == "mm" else None)


def test_an_index_without_the_unit_of_pixel_sizes_is_in_mm(tmp_path):
    wide = Raster(np.full((1, 20, 40), 100, np.uint16), 8, (0.5, 0.5))
    prepare(ABOUT, SearchResult(pairs(p00=lambda: (wide, np.ones((20, 40), np.uint8)))), tmp_path / "a", Form(16))
    index = tmp_path / "a" / "index.csv"
    lines = [line.rpartition(",")[0] for line in index.read_text().splitlines()]
    index.write_text("\n".join(lines) + "\n")
    assert PreparedDataset(index).pixel_scale("p00") == ((0.625, 1.25), "mm")


def test_a_few_without_partner_are_left_out_by_name(tmp_path):
    found = SearchResult(pairs(40), [LeftOut("x1", "no mask of the lungs", "a.zip: x1.png")])
    prepare(ABOUT, found, tmp_path / "a", Form(16))
    assert (tmp_path / "a/left_out.csv").read_text().splitlines()[1] == "x1,no mask of the lungs,a.zip: x1.png"


def test_too_many_without_partner_are_refused(tmp_path):
    left_out = [LeftOut(f"x{k}", "no mask of the lungs", f"a.zip: x{k}.png") for k in range(15)]
    message = refused(
        tmp_path, SearchResult(pairs(40), left_out), "15 of 55 images and masks have no counterpart, .* 5%"
    )
    assert "a.zip: x0.png: no mask of the lungs (and 14 more for the same reason)" in message
    assert "x1.png" not in message
    assert '`exclude: {montgomery: ["x0", "x1",' in message


def test_excluded_images_do_not_count_as_left_out(tmp_path):
    left_out = [LeftOut(f"x{k}", "no mask") for k in range(15)]
    prepare(ABOUT, SearchResult(pairs(40), left_out), tmp_path / "a", Form(16), exclude=[f"x{k}" for k in range(15)])
    assert len((tmp_path / "a" / "left_out.csv").read_text().splitlines()) == 16


def test_an_empty_mask_is_refused_and_may_be_allowed(tmp_path):
    image, mask = draw_phantom("x", 32)
    found = SearchResult(pairs(p03=lambda: (image, 0 * mask)))
    message = refused(tmp_path, found, "p03 has an empty mask, with no pixel of class lungs or heart")
    assert '`exclude: {montgomery: ["p03"]}`' in message
    prepare(dataclasses.replace(ABOUT, allow_empty=True), found, tmp_path / "a", Form(16))
    prepare(ABOUT, found, tmp_path / "b", Form(16), exclude=["p03"])
    assert "p03,excluded in the configuration," in (tmp_path / "b" / "left_out.csv").read_text()


def test_the_same_image_under_two_names_is_refused(tmp_path):
    found = SearchResult(pairs(p05=lambda: draw_phantom("p02", 32)))
    refused(tmp_path, found, "p05 is the same image as p02, under another name")


def test_all_problems_are_listed_at_once(tmp_path):
    def broken():
        raise DataError("a.zip: p07.png cannot be read as an image")

    image, mask = draw_phantom("x", 32)
    found = SearchResult(pairs(p03=lambda: (image, 0 * mask), p05=lambda: draw_phantom("p02", 32), p07=broken))
    message = refused(tmp_path, found, "3 of 40 images cannot be used")
    assert "p07.png cannot be read as an image" in message
    assert '`exclude: {montgomery: ["p03", "p05", "p07"]}`' in message


def test_a_reason_that_many_images_share_is_given_once(tmp_path):
    def colour(name):
        try:
            raise DataError("is a colour image; write `channels: 3`")
        except DataError as error:
            raise DataError(f"{name}.png {error}") from error

    broken = {f"p{k:02d}": lambda name=f"p{k:02d}": colour(name) for k in range(30)}
    message = refused(tmp_path, SearchResult(pairs(**broken)), "30 of 40 images cannot be used")
    assert "p00.png is a colour image; write `channels: 3` (and 29 more for the same reason)" in message
    assert message.count("colour image") == 1
    assert "exclude" not in message, "most images would be excluded"
    image, mask = draw_phantom("x", 32)
    empty = {f"p{k:02d}": lambda: (image, 0 * mask) for k in range(3)}
    message = refused(tmp_path, SearchResult(pairs(**empty)), "3 of 40 images cannot be used")
    assert "p00 has an empty mask, with no pixel of class lungs or heart (and 2 more for the same reason)" in message
    assert '`exclude: {montgomery: ["p00", "p01", "p02"]}`' in message


def test_an_unknown_name_to_exclude_is_refused(tmp_path):
    refused(tmp_path, SearchResult(pairs()), "`exclude`: montgomery has no image 'p99'", exclude=["p99"])


def test_an_empty_split_is_refused(tmp_path):
    refused(tmp_path, SearchResult(pairs(1)), "none of the 1 images is in the split")


def test_a_patient_in_two_splits_is_refused_unless_the_split_states_that_it_leaks(tmp_path):
    found = SearchResult([dataclasses.replace(pair, group=f"patient {int(pair.name[1:]) // 2}") for pair in pairs()])
    names = [pair.name for pair in found.pairs]
    path = tmp_path / "split.json"
    stated = {"train": names[:20], "val": names[20:29], "test": names[29:]}
    path.write_text(json.dumps(stated))
    said = "patient 'patient 14' is in two splits: image p28 is in val, image p29 is in test"
    with pytest.raises(DataError, match=said):
        prepare(ABOUT, found, tmp_path / "a", Form(16), split=str(path))
    path.write_text(json.dumps(stated | {"leaks": True}))
    prepare(ABOUT, found, tmp_path / "a", Form(16), split=str(path))
    assert json.loads((tmp_path / "a" / "splits.json").read_text())["leaks"] is True


def test_a_user_supplied_split_is_used(tmp_path):
    names = [pair.name for pair in pairs()]
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": names[:20], "val": names[20:30], "test": names[30:39]}))
    prepare(ABOUT, SearchResult(pairs()), tmp_path / "a", Form(16), split=str(path))
    dataset = PreparedDataset(tmp_path / "a" / "index.csv")
    assert dataset.names("test") == names[30:39]
    assert "p39,in no split (as split.json states)," in (tmp_path / "a" / "left_out.csv").read_text()
    prepare(ABOUT, SearchResult(pairs()), tmp_path / "b", Form(16), split=str(tmp_path / "a" / "splits.json"))
    assert PreparedDataset(tmp_path / "b" / "index.csv").names("test") == names[30:39], (
        "the splits.json of a run can be used as a split file"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a valid split file"),
        ('{"train": []}', "expected JSON with the keys train, val and test"),
        ('{"train": ["p01"], "val": ["p01"], "test": []}', "lists the image p01 twice"),
    ],
)
def test_a_bad_split_file_is_refused(tmp_path, text, message):
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        prepare(ABOUT, SearchResult(pairs()), tmp_path / "a", Form(16), split=str(path))


def test_a_split_file_with_missing_images_is_refused(tmp_path):
    names = [pair.name for pair in pairs()]
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": [*names[:20], "p99"], "val": names[20:30], "test": names[30:]}))
    with pytest.raises(DataError, match="`splits`: montgomery has no image 'p99'"):
        prepare(ABOUT, SearchResult(pairs()), tmp_path / "a", Form(16), split=str(path))


@pytest.mark.parametrize("name", ["../p00", "a/p00", ".p00", "a\\b", ""])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    found = SearchResult([*pairs(), Pair(name, "x", lambda: draw_phantom("x", 32))])
    refused(tmp_path, found, "found the image name")


def test_a_structure_that_vanishes_at_the_prepared_size_is_refused(tmp_path):
    image, mask = draw_phantom("x", 32)
    small = np.zeros_like(mask)
    small[0, 0] = 1
    refused(
        tmp_path,
        SearchResult(pairs(p03=lambda: (image, small))),
        "p03 has an empty mask after resizing to 16x16 pixels; increase `image_size`",
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_everything_is_checked_before_training(tmp_path, split):
    dataset = prepare_phantom(tmp_path / "phantom")
    dataset.check()
    mask = tmp_path / f"phantom/masks/phantom_{split}_0000.png"
    whole = mask.read_bytes()
    mask.write_bytes(whole[:-1] + b"x")
    with pytest.raises(DataError, match=rf"masks/phantom_{split}_0000\.png: the file does not match its digest"):
        dataset.check()
    mask.write_bytes(whole)
    text = dataset.index.read_text()
    dataset.index.write_text(text.replace(",test,", ",train,", 1))
    with pytest.raises(DataError, match=r"differ from those in splits\.json"):
        PreparedDataset(dataset.index).check()
    dataset.index.write_text(
        text.replace("phantom_test_0000,phantom_test_0000,", "phantom_test_0000,phantom_val_0000,")
    )
    with pytest.raises(DataError, match="group 'phantom_val_0000' is in two splits"):
        PreparedDataset(dataset.index).check()
    (tmp_path / "phantom/splits.json").write_text("{")
    with pytest.raises(DataError, match=r"splits\.json: cannot be read"):
        dataset.check()


def test_an_unknown_rule_is_refused(tmp_path):
    refused(
        tmp_path,
        SearchResult(pairs()),
        "found 'frames' for montgomery; expected groups, or the path of a .json file",
        split="frames",
    )
