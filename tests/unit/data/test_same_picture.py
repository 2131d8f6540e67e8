"""The same picture in more than forty kinds of file: equal values, whatever the file."""

import io

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from tests.unit.data.test_dicom import dicom, saved

from segcert.data.decode import DepthError, decode
from segcert.data.errors import DataError

rng = np.random.default_rng(1)
GRAY = rng.integers(0, 256, (64, 80)).astype(np.uint8)
NEGATIVE = (255 - GRAY).astype(np.uint16)
DEEP = rng.integers(0, 4096, (64, 80)).astype(np.uint16)  # 12 bits


def by_pillow(pixels, kind, **options):
    buffer = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def by_tifffile(pixels, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **{"photometric": "minisblack", **options})
    return buffer.getvalue()


def palette_of_grays(pixels):
    picture = Image.fromarray(255 - pixels, "P")
    picture.putpalette([255 - index for index in range(256) for _ in range(3)])
    return picture


def with_syntax(dataset, syntax):
    buffer = io.BytesIO()
    if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()
    little, implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    if not little:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(buffer, dataset, implicit_vr=implicit, little_endian=little, force_encoding=True)
    return buffer.getvalue()


def ways_of_8_bits():
    ways = {
        "PNG": by_pillow(GRAY, "PNG"),
        "PNG, interlaced palette": by_pillow(palette_of_grays(GRAY), "PNG"),
        "PNG, opaque": by_pillow(Image.fromarray(np.dstack([GRAY, np.full_like(GRAY, 255)]), "LA"), "PNG"),
        "PNG, R = G = B": by_pillow(np.dstack([GRAY] * 3), "PNG"),
        "BMP": by_pillow(GRAY, "BMP"),
        "GIF": by_pillow(GRAY, "GIF"),
        "GIF, inverted palette": by_pillow(palette_of_grays(GRAY), "GIF"),
        "TIFF, white is zero": by_tifffile(255 - GRAY, photometric="miniswhite"),
        "TIFF, white is zero, LZW": by_tifffile(255 - GRAY, photometric="miniswhite", compression="lzw"),
        "TIFF, big endian": by_tifffile(GRAY, byteorder=">"),
        "BigTIFF": by_tifffile(GRAY, bigtiff=True),
        "TIFF, tiles": by_tifffile(GRAY, tile=(16, 16)),
        "TIFF, (1, H, W)": by_tifffile(GRAY[None]),
        "TIFF, R = G = B, planes": by_tifffile(np.stack([GRAY] * 3), photometric="rgb", planarconfig="separate"),
        "DICOM, 8 bits": saved(dicom(GRAY.astype(np.uint16), stored=8)),
        "DICOM, white is zero": saved(dicom((255 - GRAY).astype(np.uint16), stored=8, photometric="MONOCHROME1")),
        "DICOM, inverse": saved(dicom((255 - GRAY).astype(np.uint16), stored=8, PresentationLUTShape="INVERSE")),
        "DICOM, full window": saved(dicom(GRAY.astype(np.uint16), stored=8, WindowCenter=128, WindowWidth=256)),
        "DICOM, rescaled": saved(dicom(GRAY.astype(np.uint16), stored=8, RescaleSlope=2, RescaleIntercept=-100)),
        "DICOM, negative slope": saved(
            dicom((255 - GRAY).astype(np.uint16), stored=8, RescaleSlope=-1, RescaleIntercept=255)
        ),
        "DICOM, signed": saved(dicom(GRAY.astype(np.int16), stored=9, signed=True)),
    }
    for compression in ("lzw", "deflate", "packbits", "zstd", "lzma", "png", "jpeg2000", "jpegxl", "lerc"):
        ways[f"TIFF, {compression}"] = by_tifffile(GRAY, compression=compression)
    for orientation, stored in {
        2: GRAY[:, ::-1],
        3: GRAY[::-1, ::-1],
        4: GRAY[::-1],
        5: GRAY.T,
        6: np.rot90(GRAY),
        7: np.rot90(GRAY, 2).T,
        8: np.rot90(GRAY, -1),
    }.items():
        tag = [(274, 3, 1, orientation, False)]
        ways[f"TIFF, orientation {orientation}"] = by_tifffile(np.ascontiguousarray(stored), extratags=tag)
        exif = Image.Exif()
        exif[0x0112] = orientation
        ways[f"PNG, orientation {orientation}"] = by_pillow(np.ascontiguousarray(stored), "PNG", exif=exif)
    return ways


def ways_of_12_bits():
    ways = {
        "PNG": (by_pillow(DEEP, "PNG"), 12),
        "TIFF": (by_tifffile(DEEP), 12),
        "TIFF, packed": (by_tifffile(DEEP, bitspersample=12), None),
        "TIFF, LZW": (by_tifffile(DEEP, compression="lzw", predictor=True), 12),
        "TIFF, white is zero": (by_tifffile(4095 - DEEP, photometric="miniswhite"), 12),
        "DICOM, signed": (saved(dicom(DEEP.astype(np.int16), stored=13, signed=True)), None),
    }
    for syntax in (
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ):
        ways[f"DICOM, {syntax.name}"] = (with_syntax(dicom(DEEP), syntax), None)
    return ways


@pytest.mark.parametrize("way", ways_of_8_bits())
def test_a_picture_of_8_bits_has_the_same_values_in_every_file(way):
    image = decode(ways_of_8_bits()[way])
    assert image.bits == 8
    assert (image.pixels == GRAY).all()


@pytest.mark.parametrize("way", ways_of_12_bits())
def test_a_picture_of_12_bits_has_the_same_values_in_every_file(way):
    data, bits = ways_of_12_bits()[way]
    image = decode(data, bits)
    assert image.bits == 12
    assert np.array_equal(image.pixels[0], DEEP)


def test_there_are_more_than_forty_ways():
    assert len(ways_of_8_bits()) + len(ways_of_12_bits()) > 40


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_the_depth_of_16_bit_files_is_asked_for_whatever_they_hold(kind):
    """One gray level in one pixel once decided between 12 and 16 bits, and with it every label."""
    for brightest in (4095, 4096):
        pixels = DEEP.copy()
        pixels[0, 0] = brightest
        data = by_pillow(pixels, kind)
        with pytest.raises(DepthError, match=f"the largest value is {brightest}"):
            decode(data)
        assert decode(data, bits=16).bits == 16
    assert decode(data, window=(0, 4095)).bits == 16
    with pytest.raises(DataError, match="has values up to 4096, which do not fit into 12 bits"):
        decode(data, bits=12)


def test_a_depth_that_is_not_that_of_the_file_is_refused():
    for data in (by_pillow(GRAY, "PNG"), by_tifffile(GRAY)):
        with pytest.raises(DataError, match="states a depth of 8 bits, but `bits` is set to 12"):
            decode(data, bits=12)


def test_deep_colour_keeps_all_bits():
    colours = rng.integers(0, 65536, (64, 80, 3)).astype(np.uint16)
    import imagecodecs

    for data in (imagecodecs.png_encode(colours), by_tifffile(colours, photometric="rgb", compression="lzw")):
        assert np.array_equal(decode(data, bits=16).pixels, colours.transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF"])
def test_an_animation_is_refused(kind):
    frames = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"2 (frames|pages)"):
        decode(buffer.getvalue())


def test_pixels_do_not_decide_the_number_of_channels():
    """One channel of one pixel that is one level higher once made three channels of one, and another smoothed model."""
    almost = np.dstack([GRAY] * 3)
    almost[0, 0, 0] ^= 1
    for pixels in (np.dstack([GRAY] * 3), almost):
        opaque = np.dstack([pixels, np.full_like(GRAY, 255)])
        assert len(decode(by_pillow(Image.fromarray(opaque, "RGBA"), "PNG")).pixels) == 3
