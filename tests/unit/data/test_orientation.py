"""Orientation tags: an image and its mask are turned together, or the run asks how the mask was drawn."""

import functools
import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from tests.unit.data.test_same_picture import by_pillow, by_tifffile
from tests.unit.data.test_user_data import find, own

from segcert.data.decode import decode, orientation_of
from segcert.data.errors import DataError
from segcert.data.orientation import upright

TAG = 274
TURNED = range(2, 9)
QUARTER_TURNS = range(5, 9)
SHAPES = {"oblong": (20, 30), "square": (24, 24)}


def tagged(pixels, orientation, kind="PNG"):
    """Write stored pixels with an orientation tag."""
    if kind == "TIFF":
        return by_tifffile(pixels, extratags=[(TAG, "H", 1, orientation, True)])
    exif = Image.Exif()
    exif[TAG] = orientation
    return by_pillow(pixels, kind, exif=exif)


def as_displayed(pixels, orientation):
    """Turn stored pixels upright with Pillow, the oracle of these tests."""
    with Image.open(io.BytesIO(tagged(pixels, orientation))) as file:
        return np.asarray(ImageOps.exif_transpose(file))


@functools.cache
def stored_structure(shape):
    """Stored pixels of a structure that no turn maps to itself."""
    pixels = np.zeros(shape, np.uint8)
    pixels[3:9, 4:20] = 255
    pixels[9:12, 4:8] = 255
    return pixels


@pytest.fixture
def load(tmp_path):
    """Function that writes an image and a mask, and loads them as a user-supplied data set."""

    def write_and_load(image, mask, suffix="png", **settings):
        for kind, data, name in (("images", image, f"a.{suffix}"), ("masks", mask, "a.png")):
            (tmp_path / kind).mkdir()
            (tmp_path / kind / name).write_bytes(data)
        values = {0: "background", 255: "lesion"}
        data = own(tmp_path, **{"mask_suffix": "", "values": values, "bits": 8} | settings)
        raster, labels = find(data).pairs[0].load()
        return raster.pixels[0], 255 * labels

    return write_and_load


@pytest.mark.parametrize("orientation", TURNED)
def test_turn_agrees_with_pillow(orientation):
    pixels = stored_structure(SHAPES["oblong"])
    assert np.array_equal(upright(pixels, orientation), as_displayed(pixels, orientation))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", [1, *TURNED])
def test_tag_is_found_in_every_format(kind, orientation):
    assert orientation_of(tagged(stored_structure(SHAPES["oblong"]), orientation, kind)) == orientation


def test_file_without_a_valid_tag_is_upright():
    assert orientation_of(by_pillow(np.zeros((4, 4), np.uint8), "PNG")) == 1
    assert orientation_of(tagged(np.zeros((4, 4), np.uint8), 9)) == 1


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("drawn_on", ["displayed", "stored"])
def test_configured_orientation_puts_the_mask_on_its_structure(load, shape, orientation, drawn_on):
    stored = stored_structure(shape)
    mask = as_displayed(stored, orientation) if drawn_on == "displayed" else stored
    image, labels = load(tagged(stored, orientation), by_pillow(mask, "PNG"), mask_orientation=drawn_on)
    assert np.array_equal(image, as_displayed(stored, orientation))
    assert np.array_equal(labels, image)


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("drawn_on", ["displayed", "stored"])
def test_size_decides_where_it_can_and_the_run_asks_where_it_cannot(load, kind, orientation, drawn_on):
    stored = stored_structure(SHAPES["oblong"])
    mask = as_displayed(stored, orientation) if drawn_on == "displayed" else stored
    files = tagged(stored, orientation, kind.upper()), by_pillow(mask, "PNG")
    if orientation in QUARTER_TURNS:
        image, labels = load(*files, suffix=kind)
        assert np.array_equal(labels, image)
        return
    with pytest.raises(DataError, match=r"a\.png: the mask has no orientation tag.*`mask_orientation: displayed`"):
        load(*files, suffix=kind)


@pytest.mark.parametrize("orientation", TURNED)
def test_square_image_leaves_the_question_open(load, orientation):
    stored = stored_structure(SHAPES["square"])
    with pytest.raises(DataError, match=rf"orientation {orientation}\).*own_data.clinic"):
        load(tagged(stored, orientation), by_pillow(stored, "PNG"))


@pytest.mark.parametrize("orientation", TURNED)
def test_mask_with_its_own_tag_is_turned_by_it(load, orientation):
    stored = stored_structure(SHAPES["square"])
    image, labels = load(tagged(stored, orientation), tagged(stored, orientation))
    assert np.array_equal(labels, image)


def test_upright_image_needs_no_answer(load):
    stored = stored_structure(SHAPES["square"])
    image, labels = load(by_pillow(stored, "PNG"), by_pillow(stored, "PNG"))
    assert np.array_equal(labels, image)
    assert np.array_equal(decode(by_pillow(stored, "PNG")).pixels[0], image)
