"""What an image has to be before noise is added to it."""

import numpy as np
import numpy.typing as npt

from segcert.smoothing.errors import SamplingError


def checked_image(image: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The image as contiguous float32 (C, H, W). Raises SamplingError when its shape or range is another."""
    pixels = np.ascontiguousarray(image, dtype=np.float32)
    if pixels.ndim != 3 or not pixels.size:
        raise SamplingError(f"image: found shape {pixels.shape}; expected (C, H, W)")
    if not np.isfinite(pixels).all():
        raise SamplingError("image: holds values that are not finite; expected float32 in [0, 1]")
    if pixels.min() < 0 or pixels.max() > 1:
        raise SamplingError(
            f"image: values from {pixels.min():g} to {pixels.max():g}; expected [0, 1]: divide 8-bit pixels by 255"
        )
    return pixels
