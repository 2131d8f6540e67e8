"""TIFF: the same picture written in many ways has the same values, or is refused."""

import io
import itertools

import numpy as np
import pytest
import tifffile
from PIL import Image

from segcert.data.errors import DataError
from segcert.data.orientation import TURNS
from segcert.data.tiff import read_tiff

rng = np.random.default_rng(0)
PICTURES = {
    "gray, 8 bits": rng.integers(0, 256, (40, 50)).astype(np.uint8),
    "gray, 16 bits": rng.integers(0, 65536, (40, 50)).astype(np.uint16),
    "colour, 8 bits": rng.integers(0, 256, (40, 50, 3)).astype(np.uint8),
    "colour, 16 bits": rng.integers(0, 65536, (40, 50, 3)).astype(np.uint16),
}
LOSSLESS = (None, "lzw", "deflate", "adobe_deflate", "packbits", "zstd", "lzma", "png", "jpeg2000", "jpegxl", "lerc")
GRAY = PICTURES["gray, 8 bits"]


def written(pixels, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def planes_of(picture):
    return picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)


def ways(picture):
    """Options of tifffile, and the array in the layout that they ask for."""
    layouts = ("contig", "separate") if picture.ndim == 3 else (None,)
    for compression, byteorder, layout, tile, predictor, big in itertools.product(
        LOSSLESS, "<>", layouts, (None, (16, 16)), (False, True), (False, True)
    ):
        if compression == "jpeg2000" and byteorder == ">":
            continue  # tifffile encodes the bytes of big-endian values in the wrong order
        options = {"compression": compression, "byteorder": byteorder, "tile": tile, "bigtiff": big}
        options |= {"photometric": "rgb" if picture.ndim == 3 else "minisblack", "predictor": predictor or None}
        if layout:
            options["planarconfig"] = layout
        pixels = np.ascontiguousarray(planes_of(picture)) if layout == "separate" else picture
        yield pixels, options


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_has_the_same_values_however_it_is_written(kind):
    picture, tried = PICTURES[kind], 0
    for pixels, options in ways(picture):
        try:
            data = written(pixels, **options)
        except (ValueError, NotImplementedError, RuntimeError):  # tifffile does not write this
            continue
        read = read_tiff(data)
        assert np.array_equal(read.planes, planes_of(picture)), options
        assert (read.bits, read.inverted) == (picture.itemsize * 8, False)
        tried += 1
    assert tried > 100


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["gray, 8 bits", "colour, 8 bits"])
def test_pictures_come_out_upright(kind, orientation):
    upright = Image.fromarray(PICTURES[kind])
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = np.asarray(upright.transpose(undo[orientation]) if orientation > 1 else upright)
    photometric = "rgb" if stored.ndim == 3 else "minisblack"
    data = written(stored, photometric=photometric, extratags=[(274, 3, 1, orientation, False)])
    assert np.array_equal(read_tiff(data).planes, planes_of(PICTURES[kind]))


def test_depths_are_those_of_the_file():
    for bits in range(2, 17):
        values = rng.integers(0, 2**bits, (40, 50)).astype(np.uint8 if bits <= 8 else np.uint16)
        read = read_tiff(written(values, bitspersample=bits))
        assert (read.bits, np.array_equal(read.planes[0], values)) == (bits, True)
    buffer = io.BytesIO()
    Image.fromarray(GRAY > 100).save(buffer, "TIFF", compression="group4")
    read = read_tiff(buffer.getvalue())
    white = 1 - read.planes[0] if read.inverted else read.planes[0]
    assert (read.bits, np.array_equal(white, GRAY > 100)) == (1, True)


def test_white_is_zero_is_told():
    read = read_tiff(written(GRAY, photometric="miniswhite"))
    assert read.inverted
    assert np.array_equal(read.planes[0], GRAY)


def test_palettes_are_looked_up_by_their_header():
    indices = (GRAY // 64).astype(np.uint8)
    colours = np.zeros((3, 256), np.uint16)
    colours[0, :4] = [0, 0x1234, 0xFFFF, 7]
    read = read_tiff(written(indices, photometric="palette", colormap=colours))
    assert (read.bits, np.array_equal(read.planes, colours[:, indices])) == (16, True)
    repeated = (colours >> 8) * 257
    assert np.array_equal(
        read_tiff(written(indices, photometric="palette", colormap=repeated)).planes, colours[:, indices] >> 8
    )
    gray = np.tile(repeated[0], (3, 1))
    assert len(read_tiff(written(indices, photometric="palette", colormap=gray)).planes) == 1


def test_transparency_is_laid_over_black():
    alpha = np.full((40, 50, 1), 255, np.uint8)
    alpha[:20] = 0
    for picture in (GRAY[..., None], PICTURES["colour, 8 bits"]):
        photometric = "rgb" if picture.shape[2] == 3 else "minisblack"
        options = {"photometric": photometric, "extrasamples": ["unassalpha"], "planarconfig": "contig"}
        read = read_tiff(written(np.concatenate([picture, alpha], axis=2), **options))
        assert not read.planes[:, :20].any()
        assert np.array_equal(read.planes[:, 20:], picture.transpose(2, 0, 1)[:, 20:])


def test_thumbnails_are_skipped_and_pages_are_chosen():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(GRAY[::4, ::4], photometric="minisblack", subfiletype=1)
        file.write(GRAY, photometric="minisblack")
    assert np.array_equal(read_tiff(buffer.getvalue()).planes[0], GRAY)
    stack = written(np.stack([GRAY, 255 - GRAY]), photometric="minisblack")
    with pytest.raises(DataError, match="has 2 pages; choose one with `--frame`, from 1 to 2"):
        read_tiff(stack)
    assert np.array_equal(read_tiff(stack, frame=2).planes[0], 255 - GRAY)
    assert np.array_equal(read_tiff(written(GRAY[None], photometric="minisblack")).planes[0], GRAY)


def test_signed_values_are_read_where_they_are_never_negative():
    read = read_tiff(written(GRAY.astype(np.int16), photometric="minisblack"))
    assert (read.bits, np.array_equal(read.planes[0], GRAY)) == (15, True)
    with pytest.raises(DataError, match="signed values from -128 to 127"):
        read_tiff(written((GRAY.astype(np.int16) - 128), photometric="minisblack"))


@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (GRAY.astype(np.float32) / 255, {}, "values of type float32"),
        (GRAY.astype(np.uint32), {}, "has 32 bits per sample"),
        (np.stack([GRAY] * 4, -1), {"photometric": "separated"}, "SEPARATED"),
        (np.stack([GRAY] * 5, -1), {"photometric": "minisblack", "planarconfig": "contig"}, "5 channels"),
    ],
    ids=["float", "32 bits", "CMYK", "five channels"],
)
def test_what_has_no_gray_levels_is_refused_in_any_compression(pixels, options, message, compression):
    with pytest.raises(DataError, match=message):
        read_tiff(written(pixels, compression=compression, **options))


def test_jpeg_in_tiff_is_read_as_colour():
    smooth = np.dstack([np.tile(np.linspace(0, 255, 64), (64, 1)).astype(np.uint8)] * 3)
    smooth[..., 1] = smooth[..., 1].T
    buffer = io.BytesIO()
    Image.fromarray(smooth).save(buffer, "TIFF", compression="jpeg", quality=95)
    read = read_tiff(buffer.getvalue())
    with Image.open(buffer) as picture:
        by_pillow = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(read.planes.transpose(1, 2, 0).astype(int) - by_pillow).max() <= 4
    assert np.abs(read.planes.transpose(1, 2, 0).astype(int) - smooth).max() < 24
