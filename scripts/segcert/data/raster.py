"""Images with integer values and a known bit depth: resizing, padding, and reproducible PNG files."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.sparse import csr_array

from segcert.data.errors import DataError
from segcert.data.grid import Grid
from segcert.measurements import MM, pixel_scale

Labels = npt.NDArray[np.uint8]
PixelSize = tuple[float, float]

MAX_SIDE = 16_384  # pixels; without this limit, padding a long thin strip to a square could exhaust the memory
SQUARE = 0.01  # relative difference of sides below which a pixel counts as square: resolutions are often rounded
# Largest difference between the channels of a gray picture, in levels out of 255. JPEG compression, scanners and colour
# management change the channels of gray pictures by a few levels.
NEARLY_GRAY = 8
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in JPEG


@dataclasses.dataclass(frozen=True)
class Raster:
    """An image with integer values.

    Attributes
    ----------
    pixels
        Array of shape (C, H, W), uint16, from 0 to 2^bits - 1; C is 1 or 3.
    bits
        Bit depth, from 1 to 16.
    pixel_size
        Height and width of a pixel in `length_unit`; None if unknown.
    applied
        Descriptions of the steps that turned the file's stored values into `pixels`, in order.
    length_unit
        Unit of `pixel_size`; see segcert.measurements.
    original_grid
        Mapping between the pixels of this image and those of the file; None if the image was neither padded nor
        resized.
    """

    pixels: npt.NDArray[np.uint16]
    bits: int
    pixel_size: PixelSize | None = None
    applied: tuple[str, ...] = ()
    length_unit: str = MM
    original_grid: Grid | None = None

    @property
    def grid(self) -> Grid:
        """Mapping between the pixels of this image and those of the file."""
        return self.original_grid or Grid.of(self.size)

    @property
    def pixel_scale(self) -> tuple[PixelSize | None, str]:
        """Pixel size for measuring lengths, and the unit of these lengths."""
        return pixel_scale(self.pixel_size, self.length_unit, self.grid.stretch)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        height, width = self.pixels.shape[1:]
        return height, width

    def unit(self) -> npt.NDArray[np.float32]:
        """Return the pixels as a float32 array of shape (C, H, W), with values in [0, 1].

        All values are multiples of 1 / (2^bits - 1).
        """
        return to_unit(self.pixels, self.bits)

    def resized(self, size: int) -> "Raster":
        """Resize the image to (size, size) by area averaging, round to integers, and scale the pixel size."""
        height, width = self.size
        if height == width == size:
            return self
        planes = [_area_average(plane, size) for plane in self.pixels]
        scaled = None
        if self.pixel_size:
            scaled = (self.pixel_size[0] * height / size, self.pixel_size[1] * width / size)
        pixels = np.rint(np.stack(planes)).astype(np.uint16)
        applied = (*self.applied, f"resized from {width}x{height} to {size}x{size} pixels")
        grid = dataclasses.replace(self.grid, size=(size, size))
        return dataclasses.replace(self, pixels=pixels, pixel_size=scaled, applied=applied, original_grid=grid)

    def padded(self) -> "Raster":
        """Pad the image to a square, with black on both sides of the shorter axis.

        Raises DataError if a side is longer than MAX_SIDE pixels.
        """
        if max(self.size) > MAX_SIDE:
            raise DataError(
                f"the image is {self.size[1]}x{self.size[0]} pixels; expected at most {MAX_SIDE} per side, because "
                "the image is padded to a square"
            )
        pixels = np.stack([pad_to_square(plane) for plane in self.pixels])
        if pixels.shape == self.pixels.shape:
            return self
        side = pixels.shape[1]
        applied = (*self.applied, f"padded with black from {self.size[1]}x{self.size[0]} to {side}x{side} pixels")
        padding = ((side - self.size[0]) // 2, (side - self.size[1]) // 2)  # as in `pad_to_square`
        grid = Grid(self.size, padding, (side, side), (side, side))
        return dataclasses.replace(self, pixels=pixels, applied=applied, original_grid=grid)

    def with_channels(self, channels: int) -> "Raster":
        """Convert the image to 1 or 3 channels. A gray channel is replicated.

        An RGB image with three equal channels becomes gray. If the channels differ by at most NEARLY_GRAY of 255
        levels, the image is replaced by its luminance, and this step is added to `applied`. The same rule holds for all
        file formats.

        Raises DataError if one channel is requested for a colour image, or if `channels` is neither 1 nor 3.
        """
        found = len(self.pixels)
        if channels not in (1, 3):
            raise DataError(f"channels: found {channels}; expected 1 (gray) or 3 (RGB)")
        if found == channels:
            return self
        if found == 1:
            return dataclasses.replace(self, pixels=np.repeat(self.pixels, channels, axis=0))
        white = (1 << self.bits) - 1
        difference = int((self.pixels.max(axis=0) - self.pixels.min(axis=0)).max(initial=0))
        if difference == 0:
            return dataclasses.replace(self, pixels=self.pixels[:1])
        if difference * 255 > NEARLY_GRAY * white:
            raise DataError(f"the image has colour: its channels differ by more than {NEARLY_GRAY} of 255 gray levels")
        step = f"nearly gray: its three channels differ by up to {difference} of {white}; their luminance was taken"
        gray = self.gray()
        return dataclasses.replace(gray, applied=(*gray.applied, step))

    def gray(self) -> "Raster":
        """Convert the image to one channel. A colour image is replaced by its luminance."""
        if len(self.pixels) == 1:
            return self
        luminance = np.tensordot(LUMINANCE, self.pixels, axes=1)[None]
        return dataclasses.replace(self, pixels=np.rint(luminance).astype(np.uint16))

    def windowed(self, low: float, high: float) -> "Raster":
        """Scale the values so that `low` becomes 0 and `high` becomes 2^bits - 1. Values outside are clipped."""
        full = (1 << self.bits) - 1
        spread = (np.clip(self.pixels, low, high) - low) * (full / (high - low))
        step = f"window from {low:g} to {high:g}, as asked"
        return dataclasses.replace(self, pixels=np.rint(spread).astype(np.uint16), applied=(*self.applied, step))

    def inverted(self) -> "Raster":
        """Swap black and white."""
        pixels = np.uint16((1 << self.bits) - 1) - self.pixels
        return dataclasses.replace(self, pixels=pixels, applied=(*self.applied, "inverted: low values are bright"))

    def with_pixel_size(self, pixel_size: PixelSize | None) -> "Raster":
        """Set the height and width, in mm, of the area in the patient that a pixel covers.

        None keeps the values from the file.
        """
        if pixel_size is None:
            return self
        step = f"pixel size set to {pixel_size[0]:g} x {pixel_size[1]:g} mm (height x width)"
        if self.pixel_size:
            step += f"; the file states {self.pixel_size[0]:g} x {self.pixel_size[1]:g} {self.length_unit}"
        size = (pixel_size[0], pixel_size[1])
        return dataclasses.replace(self, pixel_size=size, length_unit=MM, applied=(*self.applied, step))

    def with_bits(self, bits: int) -> "Raster":
        """Convert to a different bit depth. Black stays black, and white stays white."""
        if bits == self.bits:
            return self
        scale = ((1 << bits) - 1) / ((1 << self.bits) - 1)
        return dataclasses.replace(self, pixels=np.rint(self.pixels * scale).astype(np.uint16), bits=bits)


def check_size(height: int, width: int, limit: int | None) -> None:
    """Raise DataError if an image has more than `limit` pixels. None means that any size is allowed."""
    if limit is not None and height * width > limit:
        raise DataError(f"the image is {width}x{height} pixels; the limit is {limit} pixels in total")


def pixel_shape(across: float, down: float) -> PixelSize | None:
    """Return the height and width of a pixel, in units of its width, from the horizontal and vertical resolution.

    Returns None if the pixels are square, or if the resolutions are not two positive numbers.
    """
    if not (across > 0 and down > 0 and np.isfinite([across, down]).all()):
        return None
    return None if abs(across / down - 1) < SQUARE else (across / down, 1.0)


def over_black(colours: npt.NDArray[Any], alpha: npt.NDArray[Any], white: int) -> npt.NDArray[np.uint16]:
    """Blend colours of shape (H, W, C) with black, according to their opacity `alpha` of shape (H, W, 1).

    Both arrays contain integers from 0 to `white`.
    """
    blended = (colours.astype(np.uint32) * alpha + white // 2) // white
    return np.asarray(blended, dtype=np.uint16)


def to_unit(pixels: npt.NDArray[Any], bits: int) -> npt.NDArray[np.float32]:
    """Convert integers from 0 to 2^bits - 1 to float32 in [0, 1]."""
    return pixels.astype(np.float32) / np.float32((1 << bits) - 1)


def resize_mask(mask: Labels, size: int, num_classes: int) -> Labels:
    """Resize a mask to (size, size). Each pixel gets the class that covers most of it, or the lowest id in a tie."""
    if mask.shape == (size, size):
        return mask
    cover = np.stack([_area_average(mask == class_id, size) for class_id in range(num_classes)])
    return np.asarray(cover.argmax(axis=0), dtype=np.uint8)


def pad_to_square(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Pad an array of shape (H, W) to a square, with zeros on both sides of the shorter axis."""
    lacking = [max(plane.shape) - length for length in plane.shape]
    return np.pad(plane, [(length // 2, length - length // 2) for length in lacking])


def write_png(path: Path, pixels: npt.NDArray[Any]) -> None:
    """Write an uncompressed PNG file. Compressed data, and therefore the digest, could differ between machines."""
    Image.fromarray(pixels).save(path, format="PNG", compress_level=0)


def _area_average(plane: npt.NDArray[Any], size: int) -> npt.NDArray[np.float32]:
    """Resize an array of shape (H, W) to (size, size).

    A new pixel is the mean of the old pixels that it overlaps, weighted by the area of the overlap.
    """
    height, width = plane.shape
    rows = _overlaps(height, size) @ plane.astype(np.float32)
    return np.asarray((_overlaps(width, size) @ rows.T).T)


@functools.lru_cache(maxsize=64)
def _overlaps(length: int, size: int) -> csr_array:
    """Return the weights of area averaging along one axis.

    The result is a (size, length) matrix. Its entry (i, j) is the fraction of new pixel i that old pixel j covers when
    `length` pixels are resampled to `size`.
    """
    edges = np.arange(size + 1) * (length / size)
    first = np.floor(edges[:-1]).astype(int)
    covered = np.ceil(edges[1:] - 1e-9).astype(int) - first
    i = np.repeat(np.arange(size), covered)
    j = np.concatenate([np.arange(start, start + count) for start, count in zip(first, covered, strict=True)])
    overlap = np.minimum(edges[i + 1], j + 1) - np.maximum(edges[i], j)
    weights = (overlap * (size / length)).astype(np.float32)
    return csr_array((weights, (i, np.minimum(j, length - 1))), shape=(size, length))
