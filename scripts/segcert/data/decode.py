"""Decode image files (PNG, JPEG, GIF, BMP, TIFF, DICOM) into integers."""

import dataclasses
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from segcert.data.errors import DataError
from segcert.data.raster import Raster

DICOM_PREAMBLE = 128
PNG, JPEG = b"\x89PNG", b"\xff\xd8"
PNG_DEPTH, PNG_COLOUR_TYPE, PNG_COLOUR_OR_ALPHA = 24, 25, 6
TIFF_COMPRESSIONS = (1, 8, 32946)  # none, and the two codes of deflate
MAX_PIXELS = 64_000_000
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".dcm", ".dicom")


def file_format(data: bytes) -> str:
    """Return the format from the first 132 bytes of a file: "PNG", "TIFF", "DICOM", or "" for any other."""
    if data[DICOM_PREAMBLE : DICOM_PREAMBLE + 4] == b"DICM":
        return "DICOM"
    return {PNG: "PNG", b"II*\0": "TIFF", b"MM\0*": "TIFF"}.get(data[:4], "")


def decode(data: bytes, bits: int | None = None, window: tuple[float, float] | None = None) -> Raster:
    """Decode an image file, upright and with high values bright.

    The orientation (EXIF, TIFF) is applied, palettes are looked up, and transparent pixels are blended with black.
    DICOM's MONOCHROME1 and TIFF's white-is-zero are inverted.

    Parameters
    ----------
    bits
        Depth of the file's grid, for files that do not state it (for example 8 bits in a 16-bit file). Default:
        DICOM's BitsStored; for other 16-bit files 12 if no value is above 4095, else 16.
    window
        Lowest and highest stored value, spread over the whole range. Values outside are clipped to its ends.

    Raises
    ------
    DataError
        The data are not such an image, or the image has over 64 million pixels or several pages.
    """
    decoders = {"TIFF": _decode_tiff, "DICOM": _decode_dicom}
    try:
        image, inverted = decoders.get(file_format(data), _decode_with_pillow)(data)
    except DataError:
        raise
    except Exception as error:  # decoders fail in many ways
        raise DataError(f"cannot be read as an image ({error}); get it again, or save it as PNG") from error
    if bits is not None:
        if not 1 <= bits <= 16 or image.pixels.max() >= 1 << bits:
            raise DataError(f"found values up to {image.pixels.max()}; bits {bits} cannot hold them")
        image = dataclasses.replace(image, bits=bits)
    if window:
        image = image.windowed(*window)
    return image.inverted() if inverted else image


def decode_binary(data: bytes) -> npt.NDArray[np.bool_]:
    """Decode the mask of one structure, (H, W): True where the file is brighter than half of its range.

    Raises DataError.
    """
    image = decode(data)
    white = (1 << image.bits) - 1
    return np.asarray(2 * image.pixels.sum(axis=0, dtype=np.uint32) > len(image.pixels) * white)


def decode_values(data: bytes) -> tuple[npt.NDArray[np.uint16], bool]:
    """Decode a mask of several classes. Return its values (H, W) and True if they are exact (not for JPEG).

    The values of a palette image are its indices, unless the palette is gray. Raises DataError for a colour image.
    """
    image = decode(data)
    if file_format(data) in ("PNG", ""):
        with Image.open(io.BytesIO(data)) as file:
            palette = file.getpalette("RGB") if file.mode == "P" else None
            colours = np.reshape(palette or [], (-1, 3))
            if (colours != colours[:, :1]).any():
                return np.asarray(ImageOps.exif_transpose(file), dtype=np.uint16), True
    if data[:2] == JPEG:
        return image.gray().pixels[0], False
    if len(image.pixels) > 1:
        raise DataError("is a colour image; expected a mask with one channel or a palette, with the values in `values`")
    return image.pixels[0], True


def _decode_with_pillow(data: bytes) -> tuple[Raster, bool]:
    """Decode any file that Pillow reads."""
    header = data[: PNG_COLOUR_TYPE + 1]
    if header[:4] == PNG and header[PNG_DEPTH] == 16 and header[PNG_COLOUR_TYPE] & PNG_COLOUR_OR_ALPHA:
        raise DataError(
            "is a 16-bit PNG with colour or transparency, from which Pillow reads only 8 bits; save it as a 16-bit TIFF"
        )
    with Image.open(io.BytesIO(data)) as file:
        _check_size(file.height, file.width)
        image = ImageOps.exif_transpose(file)
        if image.mode.startswith("I"):
            return _raster(np.asarray(image)), False
        if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
            clear = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", clear.size, (0, 0, 0, 255)), clear).convert("RGB")
        gray = image.mode in ("1", "L")
        pixels = np.asarray(image.convert("L" if gray else "RGB"))
    if file.mode in ("P", "LA", "PA", "RGBA") and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    return _raster(pixels), False


def _decode_tiff(data: bytes) -> tuple[Raster, bool]:
    """Decode with tifffile, which reads deep and raw files; the others (LZW, JPEG, palettes, ...) with Pillow."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        _check_size(page.imagelength, page.imagewidth)
        if len(file.pages) > 1:
            raise DataError(f"has {len(file.pages)} pages; expected one image")
        plain = page.photometric in (0, 1, 2) and page.samplesperpixel in (1, 3) and page.bitspersample > 1
        upright = page.tags.valueof("Orientation", default=1) == 1
        if plain and upright and page.planarconfig == 1 and page.compression in TIFF_COMPRESSIONS:
            return _raster(file.asarray()), page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    return _decode_with_pillow(data)


def _decode_dicom(data: bytes) -> tuple[Raster, bool]:
    import pydicom

    file = pydicom.dcmread(io.BytesIO(data))
    _check_size(file.Rows, file.Columns)
    if int(file.get("NumberOfFrames") or 1) > 1:
        raise DataError(f"has {file.NumberOfFrames} frames; expected one image")
    pixels = file.pixel_array
    if file.PixelRepresentation:
        raise DataError("has signed pixel values; export a window of them as 16-bit PNG")
    if file.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2", "RGB"):
        raise DataError(
            f"has the photometric interpretation {file.PhotometricInterpretation}; expected MONOCHROME or RGB"
        )
    spacing = [float(each) for each in file.get("PixelSpacing") or file.get("ImagerPixelSpacing") or ()]
    pixel_size = (spacing[0], spacing[1]) if len(spacing) == 2 and min(spacing) > 0 else None
    image = dataclasses.replace(_raster(pixels), bits=int(file.BitsStored), pixel_size=pixel_size)
    return image, file.PhotometricInterpretation == "MONOCHROME1"


def _raster(pixels: npt.NDArray[Any]) -> Raster:
    """Return a raster of (H, W) or (H, W, 3) unsigned integers."""
    if pixels.ndim == 3 and pixels.shape[2] in (1, 3):
        planes = pixels.transpose(2, 0, 1)
    elif pixels.ndim == 2:
        planes = pixels[None]
    else:
        raise DataError(f"has the shape {pixels.shape}; expected one image, (H, W) or (H, W, 3)")
    if pixels.dtype.kind not in "ui" or pixels.min() < 0 or pixels.max() > 65535:
        raise DataError(f"has {pixels.dtype} from {pixels.min()} to {pixels.max()}; expected unsigned, 8 or 16 bits")
    bits = 8 if pixels.dtype == np.uint8 else 12 if pixels.max() <= 4095 else 16
    return Raster(np.ascontiguousarray(planes, dtype=np.uint16), bits)


def _check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise DataError(f"is {width}x{height}; the limit is {MAX_PIXELS} pixels")
