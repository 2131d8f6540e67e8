"""Convert the exact values or colours of masks to class ids. Unknown values are rejected, never rounded."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from segcert.data.decode import DepthError, decode, file_format, has_gray_palette
from segcert.data.errors import DataError
from segcert.data.orientation import UPRIGHT, upright
from segcert.data.raster import Labels

SHOWN = 4  # number of values that an error message lists


class OrientationError(DataError):
    """Error for an image that has to be turned upright when it is unclear whether its mask has to be turned, too."""


class MaskPixels(NamedTuple):
    """The pixels of a mask file.

    Attributes
    ----------
    values
        Array of shape (H, W), uint16: gray levels, or indices into a colour palette. None for a colour image without a
        palette.
    colours
        Array of shape (H, W, 3), uint16: red, green and blue of each pixel.
    """

    values: npt.NDArray[np.uint16] | None
    colours: npt.NDArray[np.uint16]


def read_mask(data: bytes) -> MaskPixels:
    """Read the pixels of a mask file and turn them upright. Raises DataError if the file cannot be decoded.

    White in a 1-bit file becomes 255. A colour image whose three channels are equal everywhere is read as gray.
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
    """Return the class ids of a mask as an array of shape (H, W).

    Parameters
    ----------
    pixels
        The mask's pixels, as returned by `read_mask`.
    meaning
        Dict that maps each value (an integer) or colour (such as "#ff0000") to a class name.
    classes
        Class names in the order of their ids; the first is the background.
    threshold
        Lowest value that belongs to the structure, for a mask of a single structure with soft edges. If a threshold is
        given, the values in `meaning` are not used.

    Raises
    ------
    DataError
        If the mask contains a value or a colour that is not in `meaning`; or if the mask has colours but `meaning`
        contains gray values or a threshold is given.
    """
    if threshold is not None:
        if pixels.values is None:
            raise DataError("the mask has colours, but `mask_threshold` is for gray masks; use `values` instead")
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


def turn_like_image(
    labels: npt.NDArray[Any],
    orientation: int,
    image_size: tuple[int, int],
    image_orientation: int,
    drawn_on: Literal["displayed", "stored"] | None = None,
) -> npt.NDArray[Any]:
    """Turn a mask so that it fits its upright image.

    An image file can have an orientation tag while its mask file has none. In this case, the mask was drawn either on
    the displayed image or on the stored pixels.

    Parameters
    ----------
    labels
        The mask, an array of shape (H, W), already turned as its own orientation tag states.
    orientation, image_orientation
        Orientation tags of the mask file and of the image file, as returned by segcert.data.decode.orientation_of.
    image_size
        Height and width of a mask that fits the upright image.
    drawn_on
        Version of the image on which a mask without a tag was drawn: "displayed" or "stored". If None, the size of the
        mask decides.

    Raises
    ------
    OrientationError
        If `drawn_on` is None and the mask's size fits both versions of the image.
    """
    if image_orientation == UPRIGHT or orientation != UPRIGHT or drawn_on == "displayed":
        return labels
    turned = upright(labels, image_orientation)
    if drawn_on == "stored":
        return turned
    if labels.shape != turned.shape:  # after a quarter turn of an oblong image, at most one of the two fits
        return turned if turned.shape == image_size else labels
    raise OrientationError(
        f"the mask has no orientation tag, but its image has one (orientation {image_orientation}). The size "
        "does not show whether the mask was drawn on the image as displayed or on its stored pixels"
    )


def _pixels_of(pixels: MaskPixels, value: int | str) -> npt.NDArray[np.bool_]:
    """Return a Boolean array of shape (H, W) that is True where the mask has the given value or colour."""
    if isinstance(value, str):
        colour = [int(value[start : start + 2], 16) for start in (1, 3, 5)]
        return np.asarray((pixels.colours == colour).all(axis=2))
    if pixels.values is None:
        raise DataError("the mask has colours; list them in `values`, for example `'#ff0000': lesion`")
    return np.asarray(pixels.values == value)


def _unknown(pixels: MaskPixels, known: npt.NDArray[np.bool_], meaning: Mapping[int | str, str]) -> str:
    """Return an error message about the values or colours in a mask that are not in `meaning`."""
    if any(isinstance(value, str) for value in meaning) or pixels.values is None:
        found = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in np.unique(pixels.colours[~known], axis=0)]
    else:
        found = [str(value) for value in np.unique(pixels.values[~known])]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    listed = ", ".join(found[:SHOWN]) + more
    advice = "Add them to `values`"
    if pixels.values is not None and len(set(meaning.values())) == 2:
        advice += ", or, for a mask with soft edges, write the lowest value of the structure: `mask_threshold: 128`"
    return (
        f"the mask contains {listed} in {np.count_nonzero(~known)} pixels; expected {', '.join(map(str, meaning))}. "
        f"{advice}"
    )


def _palette_indices(data: bytes) -> npt.NDArray[np.uint16] | None:
    """Return the palette indices of a mask file, of shape (H, W), or None if the file has no colour palette."""
    if file_format(data) not in ("PNG", ""):
        return None
    with Image.open(io.BytesIO(data)) as file:
        if file.mode != "P" or has_gray_palette(file):
            return None
        return np.asarray(ImageOps.exif_transpose(file), dtype=np.uint16)
