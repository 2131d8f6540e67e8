"""Decoding image files of every kind into integers."""

import io
import zlib

import imagecodecs
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from tests.support.archives import colour, encoded

from segcert.data import decode as decoding
from segcert.data.decode import decode, decode_binary
from segcert.data.errors import DataError
from segcert.data.orientation import upright
from segcert.data.raster import Raster, pad_to_square, resize_mask

GRAY = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)
NOISE = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)


def dicom_bytes(pixels, stored=12, interpretation="MONOCHROME2", spacing=(0.2, 0.3)):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    file = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    file.Rows, file.Columns = pixels.shape
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, stored, stored - 1, 0
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, interpretation
    file.PixelSpacing = list(spacing)
    file.PixelData = pixels.astype("<u2").tobytes()
    buffer = io.BytesIO()
    file.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF"])
def test_gray_files_are_read_unchanged(kind):
    image = decode(encoded(GRAY, kind))
    assert (image.bits, image.pixels.dtype, len(image.pixels)) == (8, np.uint16, 1)
    assert np.array_equal(image.pixels[0], GRAY)


def test_colour_files_have_three_channels():
    assert np.array_equal(decode(encoded(colour(GRAY))).pixels, colour(GRAY).transpose(2, 0, 1))
    assert np.array_equal(decode(encoded(colour(GRAY), "TIFF")).pixels, colour(GRAY).transpose(2, 0, 1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    """An image that a camera stored rotated is decoded upright."""
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8] = 255
    undo = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270}  # fmt: skip
    stored = Image.fromarray(upright)
    if orientation > 1:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(encoded(np.asarray(stored), "JPEG", quality=95, exif=exif))
    assert image.size == (16, 32)
    assert np.abs(image.pixels.transpose(1, 2, 0).astype(int) - upright).max() < 30


def test_palettes_are_looked_up():
    gray = Image.fromarray(GRAY // 100, "P")
    gray.putpalette([0, 0, 0, 128, 128, 128, 255, 255, 255])
    buffer = io.BytesIO()
    gray.save(buffer, "GIF")
    image = decode(buffer.getvalue())
    assert len(image.pixels) == 1
    assert np.array_equal(image.pixels[0], np.array([0, 128, 255])[GRAY // 100])
    colours = Image.fromarray(GRAY // 100, "P")
    colours.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    buffer = io.BytesIO()
    colours.save(buffer, "PNG")
    assert np.array_equal(decode(buffer.getvalue()).pixels[0], np.array([0, 255, 0])[GRAY // 100])


def test_transparent_pixels_are_blended_with_black():
    clear = np.dstack([colour(GRAY), np.full_like(GRAY, 255)])
    clear[:6, :, 3] = 0
    pixels = decode(encoded(clear)).pixels
    assert not pixels[:, :6].any()
    assert np.array_equal(pixels[:, 6:], colour(GRAY).transpose(2, 0, 1)[:, 6:])
    gray = decode(encoded(np.dstack([GRAY, clear[..., 3]])))
    assert len(gray.pixels) == 1
    assert not gray.pixels[0, :6].any()
    assert np.array_equal(gray.pixels[0, 6:], GRAY[6:])


def test_one_bit_files_are_black_and_white():
    buffer = io.BytesIO()
    Image.fromarray(GRAY > 100).save(buffer, "PNG")
    assert np.array_equal(decode(buffer.getvalue()).pixels[0], np.where(GRAY > 100, 255, 0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_kept(kind):
    deep = GRAY.astype(np.uint16) * 257
    assert np.array_equal(decode(encoded(deep, kind), bits=16).pixels[0], deep)
    assert decode(encoded(deep // 16, kind), bits=12).bits == 12


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cannot be read as an image"),
        (b"this is no image", "cannot be read as an image"),
        (encoded(NOISE)[:500], "cannot be read as an image"),
        (encoded(colour(NOISE), "JPEG")[:900], "cannot be read as an image"),
        (encoded(GRAY.astype(np.float32), "TIFF"), "values of type float32"),
        (dicom_bytes(GRAY)[:400], "the DICOM file contains no image"),
    ],
    ids=["empty", "text", "cut PNG", "cut JPEG", "float TIFF", "cut DICOM"],
)
def test_files_that_are_not_images_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        decode(data)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "DICOM"])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_unpacked(kind, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_PIXELS", 200)
    data = dicom_bytes(GRAY) if kind == "DICOM" else encoded(GRAY, kind)
    with pytest.raises(DataError, match="is 20x12 pixels; the limit is 200 pixels"):
        decode(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_masks_of_one_structure_are_thresholded_at_half(kind):
    mask = np.kron(np.array([[0, 255], [255, 0]], np.uint8), np.ones((16, 16), np.uint8))
    assert np.array_equal(decode_binary(encoded(mask, kind)), mask == 255)
    assert np.array_equal(decode_binary(encoded(np.stack([mask] * 3, -1), kind)), mask == 255)


def test_changes_of_depth_window_and_channels():
    image = Raster(np.array([[[0, 1000, 4095]]], np.uint16), 12, (0.1, 0.1))
    assert image.with_bits(8).pixels.tolist() == [[[0, 62, 255]]]
    assert image.with_bits(8).with_bits(12).pixels[0, 0, 2] == 4095
    assert image.windowed(500, 1250).pixels.tolist() == [[[0, 2730, 4095]]]
    assert image.pixel_size == image.windowed(0, 9).pixel_size == (0.1, 0.1)
    gray = Raster(np.array([[[100]], [[100]], [[100]]], np.uint16), 8).gray()
    assert gray.pixels.tolist() == [[[100]]]
    assert gray.with_channels(3).pixels.tolist() == [[[100]]] * 3


def test_padding_keeps_the_aspect_and_the_pixel_size():
    image = Raster(np.full((1, 4, 2), 200, np.uint16), 8, (0.5, 0.5)).padded()
    assert image.pixels[0].tolist() == [[0, 200, 200, 0]] * 4
    assert image.resized(2).pixel_size == (1.0, 1.0)
    assert pad_to_square(np.ones((1, 4))).tolist() == [[0] * 4, [1] * 4, [0] * 4, [0] * 4]


@pytest.mark.parametrize(("length", "size"), [(3, 2), (288, 128), (300, 256), (7, 16), (2048, 1000)])
def test_resize_averages_the_covered_pixels_weighted_by_their_covered_part(length, size):
    """Compare with an oracle: the image enlarged until old and new pixels have common edges."""
    rng = np.random.default_rng(0)
    line = rng.integers(0, 4096, length).astype(np.uint16)
    fine = np.repeat(line.astype(float), size).reshape(size, length).mean(axis=1)
    image = Raster(np.tile(line, (length, 1))[None], 12)
    assert np.abs(image.resized(size).pixels[0] - fine).max() <= 0.51
    assert np.abs(Raster(image.pixels.transpose(0, 2, 1), 12).resized(size).pixels[0].T - fine).max() <= 0.51
    classes = (line % 2).astype(np.uint8)
    share = np.repeat(classes.astype(float), size).reshape(size, length).mean(axis=1)
    clear = np.abs(share - 0.5) > 1e-6
    assert np.array_equal(resize_mask(np.tile(classes, (length, 1)), size, 2)[0][clear], (share > 0.5)[clear])


def test_a_window_applies_to_stored_values():
    stored = np.array([[100, 1550, 3000, 4000]], np.uint16)
    for interpretation, expected in (("MONOCHROME2", [0, 2048, 4095, 4095]), ("MONOCHROME1", [4095, 2047, 0, 0])):
        image = decode(dicom_bytes(stored, interpretation=interpretation), window=(100, 3000))
        assert np.abs(image.pixels[0, 0].astype(int) - expected).max() <= 1


def test_resize_averages_images_and_keeps_classes():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 4096, (1, 12, 18)).astype(np.uint16)
    expected = pixels.reshape(6, 2, 6, 3).mean(axis=(1, 3))
    assert np.abs(Raster(pixels, 12).resized(6).pixels[0] - expected).max() <= 0.5
    mask = np.array([[0, 2, 2], [2, 1, 2], [2, 2, 1]], np.uint8)
    assert resize_mask(mask, 1, 3).tolist() == [[2]]
    large = rng.integers(0, 3, (64, 64)).astype(np.uint8)
    votes = np.stack([(large == c).reshape(8, 8, 8, 8).sum(axis=(1, 3)) for c in range(3)])
    assert np.array_equal(resize_mask(large, 8, 3), votes.argmax(axis=0))


def png_with(pixels, orientation=1, dpi=None):
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(buffer, format="PNG", exif=exif, **({"dpi": dpi} if dpi else {}))
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_upright_is_a_step_for_every_format(orientation):
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    expected = upright(pixels, orientation)
    steps = () if orientation == 1 else (f"turned upright: the file states orientation {orientation}",)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, extratags=[("Orientation", "H", 1, orientation, True)])
    for data in (png_with(pixels, orientation), buffer.getvalue()):
        image = decode(data)
        assert np.array_equal(image.pixels[0], expected)
        assert (image.applied, image.grid.original) == (steps, expected.shape)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_colour_png_files_are_turned_upright(orientation):
    """Only their orientation was once ignored."""
    pixels = np.arange(18, dtype=np.uint16).reshape(2, 3, 3) * 1000
    exif = Image.Exif()
    exif[0x0112] = orientation
    deep = imagecodecs.png_encode(pixels)
    chunk = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    written = len(chunk[4:]).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    image = decode(deep[:33] + written + deep[33:], bits=16)  # behind the header
    assert np.array_equal(image.pixels, upright(pixels, orientation).transpose(2, 0, 1))
    assert len(image.applied) == (orientation > 1)


@pytest.mark.parametrize(("orientation", "shape"), [(1, (2.0, 1.0)), (3, (2.0, 1.0)), (6, (0.5, 1.0))])
def test_different_resolutions_across_and_down_give_the_shape_of_a_pixel(orientation, shape):
    pixels = np.zeros((2, 3), np.uint8)
    buffer = io.BytesIO()
    tags = [("Orientation", "H", 1, orientation, True)]
    tifffile.imwrite(buffer, pixels, extratags=tags, resolution=(200, 100))
    for data in (png_with(pixels, orientation, (200, 100)), buffer.getvalue()):
        image = decode(data)
        assert (image.pixel_size, image.length_unit) == (pytest.approx(shape, rel=1e-3), "original pixel widths")
    assert decode(png_with(pixels, dpi=(300, 299))).pixel_size is None  # rounded, not another shape
    assert decode(png_with(pixels, dpi=(72, 72))).pixel_size is None


@pytest.mark.parametrize("value", [(1, (0, 0)), (1, (1, 0)), (2, (1, 1, 2, 1))])
def test_a_malformed_resolution_is_unknown(value):
    count, ratio = value
    buffer = io.BytesIO()
    tags = [("XResolution", "2I", count, ratio, True)]
    tifffile.imwrite(buffer, np.zeros((2, 3), np.uint8), extratags=tags, resolution=None)
    assert decode(buffer.getvalue()).pixel_size is None
