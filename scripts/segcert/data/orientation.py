"""Turn stored pixels upright, as the orientation tag of an image file (EXIF or TIFF) states."""

from typing import Any

import numpy as np
import numpy.typing as npt

from segcert.data.errors import DataError

UPRIGHT = 1
# Operations that turn stored pixels upright, keyed by orientation (TIFF 6.0, section 8; EXIF uses the same values). An
# entry contains the axes to flip, and True if rows and columns must be exchanged before the flip.
TURNS: dict[int, tuple[tuple[int, ...], bool]] = {
    1: ((), False),
    2: ((1,), False),
    3: ((0, 1), False),
    4: ((0,), False),
    5: ((), True),
    6: ((1,), True),
    7: ((0, 1), True),
    8: ((0,), True),
}


def upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn an array of shape (H, W) or (H, W, C) upright. Raises DataError if `orientation` is not from 1 to 8."""
    if orientation not in TURNS:
        raise DataError(f"Orientation: found {orientation}; expected 1 to 8")
    flipped, transposed = TURNS[orientation]
    turned = np.swapaxes(pixels, 0, 1) if transposed else pixels
    return np.flip(turned, axis=flipped) if flipped else turned


def turned(orientation: int) -> tuple[str, ...]:
    """Return a tuple that describes how stored pixels were turned upright. It is empty if they were not turned."""
    return () if orientation == UPRIGHT else (f"turned upright: the file states orientation {orientation}",)


def swaps_axes(orientation: int) -> bool:
    """Return True if turning the pixels upright exchanges height and width."""
    return TURNS[orientation][1]
