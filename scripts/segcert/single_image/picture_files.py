"""Encoding and comparison of the PNG and TIFF files of label maps, overlays and radius maps."""

import io
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import matplotlib.image
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

Array = npt.NDArray[Any]
PNG = b"\x89PNG\r\n\x1a\n"
ROUNDING = 1e-6  # relative difference of radii that can occur between different versions of the libraries
COLOUR_ROUNDING = 1  # difference of colours, in 255 levels, that can occur in the same way


class PictureError(ValueError):
    """Error raised for a file that is not a PNG or TIFF file of the expected kind."""


class _Picture(NamedTuple):
    values: Array
    notes: frozenset[Any]  # PNG: names of chunks and of other metadata; TIFF: tag codes


def encode_png(pixels: Array) -> bytes:
    """Encode uint8 class ids, shape (H, W), or colours in [0, 1], shape (H, W, 3), as a PNG file."""
    buffer = io.BytesIO()
    if pixels.ndim == 2:
        Image.fromarray(pixels).save(buffer, format="PNG")
    else:
        matplotlib.image.imsave(buffer, pixels)
    return buffer.getvalue()


def encode_tiff(values: Array) -> bytes:
    """Encode float32 values, shape (H, W), as a TIFF file."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, compression="zlib")
    return buffer.getvalue()


def is_same_picture(found: bytes, expected: bytes) -> bool:
    """Return True if two files contain the same picture. Compression may differ, and floats may differ by rounding.

    The result is False if the found file contains something that the expected file lacks, such as a transparent colour
    or a text. Raises PictureError if the found file cannot be read.
    """
    if found == expected:
        return True
    wanted = _read(expected, expected)
    try:
        picture = _read(found, expected)
    except Exception as error:  # decoders raise many kinds of errors
        raise PictureError(f"this file cannot be read as the expected picture ({error})") from error
    if not picture.notes <= wanted.notes:
        return False
    tolerance = COLOUR_ROUNDING if wanted.values.ndim == 3 else 0
    return np.allclose(picture.values.astype("f8"), wanted.values.astype("f8"), rtol=ROUNDING, atol=tolerance)


def _read(file: bytes, like: bytes) -> _Picture:
    """Read a file that has the format, size and pixel type of `like`. Raises ValueError if one of these differs."""
    return _read_png(file, like) if like.startswith(PNG) else _read_tiff(file, like)


def _read_png(file: bytes, like: bytes) -> _Picture:
    with Image.open(io.BytesIO(file), formats=["PNG"]) as picture, Image.open(io.BytesIO(like)) as wanted:
        found, expected = ((each.mode, each.size, each.n_frames) for each in (picture, wanted))  # type: ignore[attr-defined]
        if found != expected:  # checked first, because decoding the pixels could exhaust the memory
            raise ValueError(f"found (mode, size, number of frames) = {found}; expected {expected}")
        return _Picture(np.asarray(picture), frozenset([*picture.info, *_chunks(file)]))


def _chunks(file: bytes) -> Iterator[bytes]:
    """Yield the names of all chunks in a PNG file, including those that Pillow ignores.

    Raises ValueError if the file contains data after the last chunk.
    """
    place = len(PNG)
    while place < len(file):
        size, name = struct.unpack_from(">I4s", file, place)
        yield name
        place += 12 + size  # 12 bytes contain the length, the name and the checksum
        if name == b"IEND" and place != len(file):
            raise ValueError("found additional data after the end of the picture")


def _read_tiff(file: bytes, like: bytes) -> _Picture:
    with tifffile.TiffFile(io.BytesIO(file)) as picture, tifffile.TiffFile(io.BytesIO(like)) as wanted:
        found, expected = (_form(each) for each in (picture, wanted))
        if found != expected:
            raise ValueError(
                f"found (number of pages, shape, data type, photometric interpretation) = {found}; expected {expected}"
            )
        return _Picture(picture.asarray(), frozenset(tag.code for tag in picture.pages[0].tags))  # type: ignore[union-attr]


def _form(picture: tifffile.TiffFile) -> tuple[Any, ...]:
    first = picture.pages[0]
    return len(picture.pages), first.shape, first.dtype, first.photometric  # type: ignore[union-attr]
