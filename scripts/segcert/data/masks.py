"""Masks: exact values or colours, and what they mean. Nothing is rounded to a value that a mask does not hold."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from segcert.data.decode import DepthError, decode, file_format
from segcert.data.errors import DataError
from segcert.data.raster import Labels

COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
SHOWN = 4  # values that an error lists


class MaskPixels(NamedTuple):
    """The pixels of a mask file.

    Attributes
    ----------
    values
        (H, W) uint16: gray levels, or indices of a palette with colours. None for a colour image.
    colours
        (H, W, 3) uint16: red, green and blue of each pixel.
    """

    values: npt.NDArray[np.uint16] | None
    colours: npt.NDArray[np.uint16]


def read_mask(data: bytes) -> MaskPixels:
    """Read the pixels of a mask file, upright. Raises DataError.

    A file of 1 bit holds 0 and 255. Red, green and blue that are equal everywhere are gray levels.
    """
    try:
        image = decode(data)
    except DepthError:
        image = decode(data, bits=16)
    planes = image.pixels * np.uint16(255) if image.bits == 1 else image.pixels
    colours = np.ascontiguousarray(np.broadcast_to(planes, (3, *image.size)).transpose(1, 2, 0))
    indices = _palette_indices(data)
    if indices is not None:
        return MaskPixels(indices, colours)
    gray = bool((planes == planes[:1]).all())
    return MaskPixels(planes[0] if gray else None, colours)


def class_ids(
    pixels: MaskPixels, meaning: Mapping[int | str, str], classes: Sequence[str], threshold: int | None = None
) -> Labels:
    """Return the class ids of a mask, (H, W).

    Parameters
    ----------
    pixels
        As `read_mask` returns them.
    meaning
        Name of the class of each value (a whole number), or of each colour (such as "#ff0000").
    classes
        Names of the class ids; the first is the background.
    threshold
        Least value of the one structure of a mask with soft edges. The values of `meaning` then only name the classes.

    Raises
    ------
    DataError
        If the mask has a value or a colour without a meaning.
    """
    if threshold is not None:
        if pixels.values is None:
            raise DataError("is a colour image; `mask_threshold` is for gray masks")
        return (pixels.values >= threshold).astype(np.uint8)
    labels = np.zeros(pixels.colours.shape[:2], np.uint8)
    known = np.zeros(labels.shape, np.bool_)
    for value, title in meaning.items():
        here = _pixels_of(pixels, value)
        labels[here] = classes.index(title)
        known |= here
    if not known.all():
        raise DataError(_unknown(pixels, known, meaning))
    return labels


def _pixels_of(pixels: MaskPixels, value: int | str) -> npt.NDArray[np.bool_]:
    """Return True (H, W) where a mask has a value or a colour."""
    if isinstance(value, str):
        colour = [int(value[start : start + 2], 16) for start in (1, 3, 5)]
        return np.asarray((pixels.colours == colour).all(axis=2))
    if pixels.values is None:
        raise DataError("is a colour image; write the colours in `values`, for example `'#ff0000': lesion`")
    return np.asarray(pixels.values == value)


def _unknown(pixels: MaskPixels, known: npt.NDArray[np.bool_], meaning: Mapping[int | str, str]) -> str:
    """Return the complaint about values that no entry of `values` names."""
    if any(isinstance(value, str) for value in meaning) or pixels.values is None:
        found = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in np.unique(pixels.colours[~known], axis=0)]
    else:
        found = [str(value) for value in np.unique(pixels.values[~known])]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    listed = ", ".join(found[:SHOWN]) + more
    advice = "add them to `values`"
    if pixels.values is not None and len(set(meaning.values())) == 2:
        advice += ", or, for a mask with soft edges, write the least value of the structure: `mask_threshold: 128`"
    return f"holds {listed} in {np.count_nonzero(~known)} pixels; expected {', '.join(map(str, meaning))}: {advice}"


def _palette_indices(data: bytes) -> npt.NDArray[np.uint16] | None:
    """Return the indices (H, W) of a file with a palette that has colours, None for any other."""
    if file_format(data) not in ("PNG", ""):
        return None
    with Image.open(io.BytesIO(data)) as file:
        if file.mode != "P":
            return None
        colours = np.reshape(file.getpalette("RGB") or [], (-1, 3))
        if (colours == colours[:, :1]).all():
            return None
        return np.asarray(ImageOps.exif_transpose(file), dtype=np.uint16)
