"""Masks: the same mask in more than twenty kinds of file has the same classes, or is refused."""

import io

import numpy as np
import pytest
from PIL import Image
from tests.unit.data.test_dicom import dicom, saved
from tests.unit.data.test_same_picture import by_pillow, by_tifffile

from segcert.data.errors import DataError
from segcert.data.masks import class_ids, read_mask

LABELS = np.zeros((64, 80), np.uint8)
LABELS[10:40, 20:60] = 1
LABELS[20:30, 30:50] = 2
CLASSES = ("background", "lung", "heart")
VALUES = {0: "background", 128: "lung", 255: "heart"}
COLOURS = {"#000000": "background", "#00ff00": "lung", "#ff0000": "heart"}
GRAYS = np.array([0, 128, 255], np.uint8)[LABELS]
RGB = np.array([[0, 0, 0], [0, 255, 0], [255, 0, 0]], np.uint8)[LABELS]


def with_palette(kind, palette):
    picture = Image.fromarray(LABELS, "P")
    picture.putpalette([channel for colour in palette for channel in colour])
    return by_pillow(picture, kind)


def turned(pixels):
    exif = Image.Exif()
    exif[0x0112] = 6
    return by_pillow(np.ascontiguousarray(np.rot90(pixels)), "PNG", exif=exif)


COLOUR_PALETTE, GRAY_PALETTE = [(0, 0, 0), (0, 255, 0), (255, 0, 0)], [(0, 0, 0), (128, 128, 128), (255, 255, 255)]
THOUSANDS = {0: "background", 1000: "lung", 2000: "heart"}
INDICES = {0: "background", 1: "lung", 2: "heart"}
WAYS = {
    "PNG": (by_pillow(GRAYS, "PNG"), VALUES),
    "PNG, R = G = B": (by_pillow(np.dstack([GRAYS] * 3), "PNG"), VALUES),
    "PNG, opaque": (by_pillow(np.dstack([GRAYS] * 3 + [np.full_like(GRAYS, 255)]), "PNG"), VALUES),
    "PNG, 16 bits": (by_pillow(GRAYS.astype(np.uint16), "PNG"), VALUES),
    "PNG, turned": (turned(GRAYS), VALUES),
    "PNG, class ids": (by_pillow(LABELS, "PNG"), INDICES),
    "PNG, 16-bit ids": (
        by_pillow(LABELS.astype(np.uint16) * 1000, "PNG"),
        {0: "background", 1000: "lung", 2000: "heart"},
    ),
    "PNG, palette, indices": (with_palette("PNG", COLOUR_PALETTE), INDICES),
    "PNG, palette, colours": (with_palette("PNG", COLOUR_PALETTE), COLOURS),
    "PNG, gray palette": (with_palette("PNG", GRAY_PALETTE), VALUES),
    "PNG, colours": (by_pillow(RGB, "PNG"), COLOURS),
    "PNG, colours, turned": (turned(RGB), COLOURS),
    "BMP": (by_pillow(GRAYS, "BMP"), VALUES),
    "BMP, colours": (by_pillow(RGB, "BMP"), COLOURS),
    "GIF": (by_pillow(GRAYS, "GIF"), VALUES),
    "GIF, colours": (with_palette("GIF", COLOUR_PALETTE), COLOURS),
    "TIFF": (by_tifffile(GRAYS), VALUES),
    "TIFF, LZW": (by_tifffile(GRAYS, compression="lzw"), VALUES),
    "TIFF, big endian ids": (by_tifffile(LABELS.astype(np.uint16), byteorder=">"), INDICES),
    "TIFF, white is zero": (by_tifffile(255 - GRAYS, photometric="miniswhite"), VALUES),
    "TIFF, colours": (by_tifffile(RGB, photometric="rgb", compression="deflate"), COLOURS),
    "TIFF, colour planes": (
        by_tifffile(np.ascontiguousarray(RGB.transpose(2, 0, 1)), photometric="rgb", planarconfig="separate"),
        COLOURS,
    ),
    "DICOM": (saved(dicom(GRAYS.astype(np.uint16), stored=8)), VALUES),
    "DICOM, ids": (saved(dicom(LABELS.astype(np.uint16), stored=16)), INDICES),
}


def test_there_are_more_than_twenty_ways():
    assert len(WAYS) > 20


@pytest.mark.parametrize("way", WAYS)
def test_a_mask_has_the_same_classes_in_every_file(way):
    data, meaning = WAYS[way]
    assert np.array_equal(class_ids(read_mask(data), meaning, CLASSES), LABELS)


def test_a_mask_of_one_bit_holds_0_and_255():
    for kind in ("PNG", "TIFF", "BMP"):
        data = by_pillow(Image.fromarray(LABELS > 0), kind)
        labels = class_ids(read_mask(data), {0: "background", 255: "lung"}, CLASSES)
        assert np.array_equal(labels, LABELS > 0)


def soft(kind):
    """A mask with soft edges, as a drawing program or JPEG leaves them."""
    picture = Image.fromarray(np.where(LABELS > 0, 255, 0).astype(np.uint8))
    picture = picture.resize((160, 128), Image.Resampling.BILINEAR).resize((80, 64), Image.Resampling.BILINEAR)
    return by_pillow(picture, kind)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "BMP"])
def test_soft_masks_need_a_threshold_in_every_format(kind):
    meaning = {0: "background", 255: "lung"}
    pixels = read_mask(soft(kind))
    with pytest.raises(DataError, match="`mask_threshold: 128`"):
        class_ids(pixels, meaning, ("background", "lung"))
    labels = class_ids(pixels, meaning, ("background", "lung"), threshold=128)
    assert np.mean(labels != (LABELS > 0)) < 0.02


def test_jpeg_masks_of_several_values_are_refused():
    """A JPEG mask of 0 and 128 once lost a quarter of its structure in silence."""
    pixels = read_mask(by_pillow(GRAYS, "JPEG", quality=75))
    with pytest.raises(DataError, match=r"contains .* in \d+ pixels; expected 0, 128, 255\. Add them to `values`$"):
        class_ids(pixels, VALUES, CLASSES)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_colours_without_a_meaning_are_refused(kind):
    """Red on green once came out inverted."""
    red_on_green = np.where(LABELS[..., None] > 0, (255, 0, 0), (0, 255, 0)).astype(np.uint8)
    pixels = read_mask(by_pillow(red_on_green, kind))
    with pytest.raises(DataError, match="the mask has colours; list them in `values`"):
        class_ids(pixels, {0: "background", 255: "lung"}, CLASSES)
    with pytest.raises(DataError, match="the mask has colours, but `mask_threshold` is for gray masks"):
        class_ids(pixels, {0: "background", 255: "lung"}, CLASSES, threshold=128)
    if kind != "JPEG":
        meaning = {"#00ff00": "background", "#FF0000": "lung"}
        assert np.array_equal(class_ids(pixels, meaning, CLASSES), LABELS > 0)


def test_a_value_without_a_meaning_is_named():
    pixels = GRAYS.copy()
    pixels[0, :3] = 7
    with pytest.raises(DataError, match="contains 7 in 3 pixels; expected 0, 128, 255"):
        class_ids(read_mask(by_pillow(pixels, "PNG")), VALUES, CLASSES)
    buffer = io.BytesIO(by_pillow(RGB ^ np.uint8(1), "PNG"))
    with pytest.raises(DataError, match=r"contains #00ff01|contains #000101|contains #010101"):
        class_ids(read_mask(buffer.getvalue()), COLOURS, CLASSES)
