"""Pictures in and out: decoding, area-averaging resize, and PNG files whose bytes are the same on every machine."""

import dataclasses
import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segcert.data.errors import DataError

Pixels = npt.NDArray[np.uint8]

MAX_MEMBER_BYTES = 256 << 20
MAX_PIXELS = 64_000_000


@dataclasses.dataclass(frozen=True)
class Sample:
    """An image (H, W) or (H, W, 3) of 8 bits, its mask (H, W) of class ids, its name, and the group it belongs to."""

    name: str
    group: str
    image: Pixels
    mask: Pixels


def read_gray(archive: zipfile.ZipFile, member: str) -> Pixels:
    """Decode a member of an archive as 8-bit gray (H, W). Raises DataError when it is no image or too large."""
    if archive.getinfo(member).file_size > MAX_MEMBER_BYTES:
        raise DataError(
            f"{archive.filename}: {member} unpacks to over {MAX_MEMBER_BYTES >> 20} MiB; no image of this set does"
        )
    try:
        with Image.open(io.BytesIO(archive.read(member))) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    f"{archive.filename}: {member} is {image.width}x{image.height}; the limit is {MAX_PIXELS} pixels"
                )
            if image.mode.startswith("I"):
                return _eight_bits(np.asarray(image))
            return np.asarray(image.convert("L"))
    except (OSError, ValueError, RuntimeError, SyntaxError, zlib.error, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{archive.filename}: {member} cannot be read as an image ({error}); fetch the archive again"
        ) from error


def _eight_bits(pixels: npt.NDArray[Any]) -> Pixels:
    """16-bit gray to 8 bits; a file with no value above 4095 holds 12 bits."""
    full = 4095 if pixels.max() <= 4095 else 65535
    return np.rint(pixels * (255 / full)).astype(np.uint8)


def resize_image(image: Pixels, size: int) -> Pixels:
    """Area-averaging resize to (size, size): each new pixel is the mean of what it covers."""
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BOX), dtype=np.uint8)


def resize_mask(mask: Pixels, size: int, num_classes: int) -> Pixels:
    """Class-preserving resize: each new pixel takes the class that covers most of it (the lower id in a tie)."""
    cover = np.stack(
        [resize_image(np.where(mask == class_id, 255, 0).astype(np.uint8), size) for class_id in range(num_classes)]
    )
    return np.asarray(cover.argmax(axis=0), dtype=np.uint8)


def write_png(path: Path, pixels: Pixels) -> None:
    """Write a PNG without compression: compressors differ between machines, and the bytes are part of the digest."""
    Image.fromarray(pixels).save(path, format="PNG", compress_level=0)
