"""Read TIFF images. The values do not depend on a file's compression, byte order, orientation or planar layout.

All files are read by tifffile, with the codecs from imagecodecs. No other reader is used, because two readers could
interpret the same file differently.
"""

import io
import operator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile

from segcert.data.errors import DataError
from segcert.data.orientation import UPRIGHT, swaps_axes, turned, upright
from segcert.data.raster import PixelSize, check_size, over_black, pixel_shape

MAX_BITS = 16
EIGHT_BITS_REPEATED = 257  # a palette stores an 8-bit value v as 257 * v

Values = npt.NDArray[Any]


class StoredTiff(NamedTuple):
    """The stored values of a TIFF picture, turned upright.

    Attributes
    ----------
    planes
        Array of shape (C, H, W), uint16; C is 1 or 3.
    bits
        Bit depth of the values, from 1 to 16, without a sign bit.
    inverted
        True if low values are bright (white is zero).
    pixel_shape
        Height and width of a pixel in the upright picture, in units of its width; None if the pixels are square or if
        their shape is unknown.
    applied
        Descriptions of the steps that turned the stored values into `planes`, in order.
    """

    planes: npt.NDArray[np.uint16]
    bits: int
    inverted: bool
    pixel_shape: PixelSize | None = None
    applied: tuple[str, ...] = ()


def read_tiff(data: bytes, frame: int | None = None, max_pixels: int | None = None) -> StoredTiff:
    """Read a TIFF picture.

    Palette indices are replaced by their colours, the orientation is applied, and transparent pixels are blended with
    black. Thumbnails and transparency masks in the same file are skipped.

    Parameters
    ----------
    data
        The bytes of the file.
    frame
        Number of the picture to read from a file that contains several, counted from 1.
    max_pixels
        Largest allowed number of pixels. None means that there is no limit.

    Raises
    ------
    DataError
        If the file contains several pictures and `frame` is None; if a value is negative; if the values are not
        integers of 1 to 16 bits; or if the picture is neither gray nor RGB nor a palette image.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = _choose_page(file, frame)
        check_size(page.imagelength, page.imagewidth, max_pixels)
        bits = _check_bits(page)
        values = _rows_columns_samples(page)
    values, bits = _unsigned(values, page, bits)
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        values, bits = _look_up(values, page)
    inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    values = _without_alpha(values, page, bits, inverted)
    if values.shape[2] not in (1, 3):
        raise DataError(f"the picture has {values.shape[2]} channels; expected 1 (gray) or 3 (RGB)")
    orientation = page.tags.valueof("Orientation", default=UPRIGHT)
    planes = np.ascontiguousarray(upright(values, orientation).transpose(2, 0, 1), dtype=np.uint16)
    return StoredTiff(planes, bits, inverted, _pixel_shape(page, orientation), turned(orientation))


def _choose_page(file: tifffile.TiffFile, frame: int | None) -> tifffile.TiffPage:
    """Return the page of a TIFF file that contains the requested picture."""
    pictures = []
    for page in map(operator.methodcaller("aspage"), file.pages):
        if not page.is_reduced and not page.is_mask:
            pictures.append(page)
    if not pictures:
        raise DataError("the file contains no page with a picture")
    if frame is None and len(pictures) > 1:
        raise DataError(f"the file has {len(pictures)} pages; choose one with `--frame`, from 1 to {len(pictures)}")
    if not 1 <= (frame or 1) <= len(pictures):
        raise DataError(f"frame: found {frame}; expected 1 to {len(pictures)}")
    chosen: tifffile.TiffPage = pictures[(frame or 1) - 1]
    return chosen


def _check_bits(page: tifffile.TiffPage) -> int:
    """Return the number of bits per sample. Raises DataError unless the page contains gray or RGB integers."""
    photometric = tifffile.PHOTOMETRIC(page.photometric)
    kinds = tifffile.PHOTOMETRIC
    jpeg_colour = photometric == kinds.YCBCR and page.compression in (6, 7)  # the JPEG decoder returns RGB
    if photometric not in (kinds.MINISWHITE, kinds.MINISBLACK, kinds.RGB, kinds.PALETTE) and not jpeg_colour:
        raise DataError(f"PhotometricInterpretation: found {photometric.name}; expected gray, RGB or a palette")
    if page.sampleformat not in (tifffile.SAMPLEFORMAT.UINT, tifffile.SAMPLEFORMAT.INT):
        raise DataError(f"the picture has values of type {page.dtype}; expected integers of 1 to {MAX_BITS} bits")
    bits = page.bitspersample
    if not isinstance(bits, int) or not 1 <= bits <= MAX_BITS:
        raise DataError(
            f"the picture has {bits} bits per sample; expected the same number for all channels, from 1 to {MAX_BITS}"
        )
    if page.imagedepth != 1:
        raise DataError(f"the page contains {page.imagedepth} slices; expected one picture")
    return bits


def _rows_columns_samples(page: tifffile.TiffPage) -> Values:
    """Return the values as an array of shape (H, W, samples), for any planar layout of the file."""
    values = page.asarray()
    axes = page.axes
    if "S" not in axes:
        return values.reshape(page.imagelength, page.imagewidth, 1)
    return np.moveaxis(values, axes.index("S"), -1).reshape(page.imagelength, page.imagewidth, -1)


def _unsigned(values: Values, page: tifffile.TiffPage, bits: int) -> tuple[Values, int]:
    """Return unsigned values and their bit depth, without the sign bit. Raises DataError if a value is negative."""
    if page.sampleformat != tifffile.SAMPLEFORMAT.INT:
        return values, bits
    if values.min() < 0:
        raise DataError(
            f"the picture has signed values from {values.min()} to {values.max()}; shift them so that none is negative"
        )
    return values, bits - 1


def _look_up(values: Values, page: tifffile.TiffPage) -> tuple[Values, int]:
    """Replace palette indices with their colours. Return the colours and their bit depth.

    The array of colours has shape (H, W, 3), or (H, W, 1) if the palette is gray.
    """
    colours: Values = np.asarray(page.colormap, dtype=np.uint16)  # (3, 2^bits)
    bits = 16
    if not (colours % EIGHT_BITS_REPEATED).any():
        colours, bits = colours // EIGHT_BITS_REPEATED, 8
    elif not (colours & 0xFF).any():  # some writers leave the low byte empty
        colours, bits = colours >> 8, 8
    gray = (colours == colours[:1]).all()
    shown = colours[:1] if gray else colours
    return np.moveaxis(shown[:, values[..., 0]], 0, -1), bits


def _without_alpha(values: Values, page: tifffile.TiffPage, bits: int, inverted: bool) -> Values:
    """Blend a transparent picture with black. Raises DataError for extra samples that are not transparency."""
    extra = tuple(page.extrasamples)
    if not extra:
        return values
    alphas = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
    if len(extra) > 1 or extra[0] not in alphas or inverted or page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise DataError(
            f"the picture has {values.shape[2]} channels, including {len(extra)} that cannot be displayed; save it "
            "without them"
        )
    colours, alpha = values[..., :-1], values[..., -1:]
    if extra[0] == tifffile.EXTRASAMPLE.ASSOCALPHA:  # the file's colours are already multiplied by alpha
        return colours
    return over_black(colours, alpha, (1 << bits) - 1)


def _pixel_shape(page: tifffile.TiffPage, orientation: int) -> PixelSize | None:
    """Return the shape of a pixel of the upright picture, from the resolution tags of the page."""
    across, down = (_resolution(page.tags.valueof(name)) for name in ("XResolution", "YResolution"))
    return pixel_shape(down, across) if swaps_axes(orientation) else pixel_shape(across, down)


def _resolution(ratio: Any) -> float:
    """Return the value of a resolution tag as a number; 0 if it is missing or malformed."""
    if not isinstance(ratio, tuple) or len(ratio) != 2 or not ratio[1]:
        return 0.0
    return float(ratio[0]) / float(ratio[1])
