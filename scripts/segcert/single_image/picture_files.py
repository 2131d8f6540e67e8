"""PNG and TIFF files of label maps, overlays and radius maps: encoding and comparison."""

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
ROUNDING = 1e-6  # relative difference between radii that other versions of the libraries may compute
COLOUR_ROUNDING = 1  # of 255 levels, likewise for colours


class PictureError(ValueError):
    """A file that is not a PNG or TIFF file of the expected kind."""


class _Picture(NamedTuple):
    values: Array
    notes: frozenset[Any]  # names of chunks and other additions (PNG), or codes of tags (TIFF)


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

    The found file must not contain additions that the expected file lacks, such as a second page, a palette, a
    transparent colour or a text. Raises PictureError if the found file cannot be read.
    """
    if found == expected:
        return True
    wanted = _read(expected, expected)
    try:
        picture = _read(found, expected)
    except Exception as error:  # decoders fail in many ways
        raise PictureError(f"this file cannot be read as the expected picture ({error})") from error
    if not picture.notes <= wanted.notes:
        return False
    tolerance = COLOUR_ROUNDING if wanted.values.ndim == 3 else 0
    return np.allclose(picture.values.astype("f8"), wanted.values.astype("f8"), rtol=ROUNDING, atol=tolerance)


def _read(file: bytes, like: bytes) -> _Picture:
    """Read a file with the format, size and pixel type of `like`. Raises ValueError if one of them differs."""
    return _read_png(file, like) if like.startswith(PNG) else _read_tiff(file, like)


def _read_png(file: bytes, like: bytes) -> _Picture:
    with Image.open(io.BytesIO(file), formats=["PNG"]) as picture, Image.open(io.BytesIO(like)) as wanted:
        found, expected = ((each.mode, each.size, each.n_frames) for each in (picture, wanted))  # type: ignore[attr-defined]
        if found != expected:  # before pixels are decoded, which could exhaust the memory
            raise ValueError(f"found (mode, size, number of frames) = {found}; expected {expected}")
        return _Picture(np.asarray(picture), frozenset([*picture.info, *_chunks(file)]))


def _chunks(file: bytes) -> Iterator[bytes]:
    """Yield the names of a PNG file's chunks; Pillow leaves out those that it does not know. Raises ValueError."""
    place = len(PNG)
    while place < len(file):
        size, name = struct.unpack_from(">I4s", file, place)
        yield name
        place += 12 + size  # with the length, the name and the checksum
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
