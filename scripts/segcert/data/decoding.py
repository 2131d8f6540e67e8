"""Image files into whole numbers: PNG, JPEG, GIF, BMP, TIFF and DICOM, whatever way they hold the picture."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from segcert.data.errors import DataError
from segcert.data.images import Raster

DICOM_PREAMBLE = 128
PNG, JPEG = b"\x89PNG", b"\xff\xd8"
PNG_DEPTH, PNG_COLOUR_TYPE, PNG_COLOUR = 24, 25, 2
MAX_PIXELS = 64_000_000
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".dcm", ".dicom")


def file_format(head: bytes) -> str:
    """The format that the first 132 bytes of a file tell: "PNG", "TIFF", "DICOM", or "" for any other."""
    if head[DICOM_PREAMBLE : DICOM_PREAMBLE + 4] == b"DICM":
        return "DICOM"
    return {PNG: "PNG", b"II*\0": "TIFF", b"MM\0*": "TIFF"}.get(head[:4], "")


def decode(data: bytes, bits: int | None = None) -> Raster:
    """The picture of an image file, upright and with high values bright.

    EXIF orientation is applied, palettes are looked up, transparency is laid over black, DICOM's MONOCHROME1 and TIFF's
    white-is-zero are inverted.

    bits: of the file's grid, where it does not say it (8 bits in a 16-bit file, say); by default DICOM's BitsStored,
    and of other 16-bit files 12 if no value is above 4095.

    Raises DataError for anything that is no such image, and for one of over 64 million pixels.
    """
    decoders = {"TIFF": _decode_tiff, "DICOM": _decode_dicom}
    try:
        image = decoders.get(file_format(data[: DICOM_PREAMBLE + 4]), _decode_picture)(data)
    except DataError:
        raise
    except Exception as error:  # decoders fail in many ways
        raise DataError(f"cannot be read as an image ({error}); get it again, or write it anew as PNG") from error
    if bits is None:
        return image
    if not 1 <= bits <= 16 or image.pixels.max() >= 1 << bits:
        raise DataError(f"found values up to {image.pixels.max()}; bits {bits} cannot hold them")
    return Raster(image.pixels, bits, image.pixel_size)


def decode_binary(data: bytes) -> npt.NDArray[np.bool_]:
    """A mask of one structure, (H, W): where the file is brighter than half of its range. Raises DataError."""
    image = decode(data)
    return np.asarray(image.pixels.mean(axis=0) > ((1 << image.bits) - 1) / 2)


def decode_values(data: bytes) -> tuple[npt.NDArray[np.uint16], bool]:
    """The values (H, W) of a mask of several classes, and whether they are exact (JPEG's are not).

    Of a palette image: the indices, unless the palette is gray. Raises DataError for a colour image.
    """
    image = decode(data)
    if not file_format(data[: DICOM_PREAMBLE + 4]) or data[:4] == PNG:
        with Image.open(io.BytesIO(data)) as file:
            if file.mode == "P" and not _gray_palette(file):
                return np.asarray(ImageOps.exif_transpose(file), dtype=np.uint16), True
    if data[:2] == JPEG:
        return image.gray().pixels[0], False
    if len(image.pixels) > 1:
        raise DataError("is a colour image; a mask has one channel or a palette, with the values that `values` lists")
    return image.pixels[0], True


def _decode_picture(data: bytes) -> Raster:
    """Whatever Pillow reads."""
    header = data[: PNG_COLOUR_TYPE + 1]
    if header[:4] == PNG and header[PNG_DEPTH] == 16 and header[PNG_COLOUR_TYPE] & PNG_COLOUR:
        raise DataError("is a 16-bit colour PNG, of which Pillow reads 8 bits; write it as 16-bit TIFF")
    with Image.open(io.BytesIO(data)) as file:
        _check_size(file.height, file.width)
        image = ImageOps.exif_transpose(file)
        if image.mode.startswith("I"):
            return _raster(np.asarray(image))
        if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
            clear = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", clear.size, (0, 0, 0, 255)), clear).convert("RGB")
            return _one_plane_if_gray(_raster(np.asarray(image)))
        if image.mode == "P":
            return _one_plane_if_gray(_raster(np.asarray(image.convert("RGB"))))
        return _raster(np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB")))


def _decode_tiff(data: bytes) -> Raster:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        _check_size(page.imagelength, page.imagewidth)
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            raise DataError("holds palette indices; convert it to gray or RGB")
        image = _raster(file.asarray())
        if page.photometric != tifffile.PHOTOMETRIC.MINISWHITE:
            return image
    return Raster(np.uint16((1 << image.bits) - 1) - image.pixels, image.bits)


def _decode_dicom(data: bytes) -> Raster:
    import pydicom

    file = pydicom.dcmread(io.BytesIO(data))
    _check_size(file.Rows, file.Columns)
    pixels = file.pixel_array
    if file.PixelRepresentation:
        raise DataError("holds signed pixel values; export a window of it as 16-bit PNG")
    if file.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2", "RGB"):
        raise DataError(
            f"has the photometric interpretation {file.PhotometricInterpretation}; expected MONOCHROME or RGB"
        )
    if file.PhotometricInterpretation == "MONOCHROME1":
        pixels = 2**file.BitsStored - 1 - pixels
    spacing = file.get("PixelSpacing") or file.get("ImagerPixelSpacing")
    image = _raster(pixels, int(file.BitsStored))
    return Raster(image.pixels, image.bits, (float(spacing[0]), float(spacing[1])) if spacing else None)


def _raster(pixels: npt.NDArray[Any], bits: int | None = None) -> Raster:
    """From (H, W) or (H, W, 3) of unsigned integers."""
    if pixels.ndim == 3 and pixels.shape[2] in (1, 3):
        planes = pixels.transpose(2, 0, 1)
    elif pixels.ndim == 2:
        planes = pixels[None]
    else:
        raise DataError(f"has the shape {pixels.shape}; expected one picture, (H, W) or (H, W, 3)")
    if pixels.dtype.kind not in "ui" or pixels.min() < 0 or pixels.max() > 65535:
        raise DataError(f"holds {pixels.dtype} from {pixels.min()} to {pixels.max()}; expected 8 or 16 bits, unsigned")
    if bits is None:
        bits = 8 if pixels.dtype == np.uint8 else 12 if pixels.max() <= 4095 else 16
    return Raster(np.ascontiguousarray(planes, dtype=np.uint16), bits)


def _one_plane_if_gray(image: Raster) -> Raster:
    gray = bool((image.pixels == image.pixels[:1]).all())
    return image.with_channels(1) if gray else image


def _gray_palette(image: Image.Image) -> bool:
    colours = np.reshape(image.getpalette("RGB") or [], (-1, 3))
    return bool((colours == colours[:, :1]).all())


def _check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise DataError(f"is {width}x{height}; the limit is {MAX_PIXELS} pixels")
