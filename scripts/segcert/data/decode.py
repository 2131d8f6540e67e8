"""Decode image files (PNG, JPEG, GIF, BMP, TIFF, DICOM) to integer pixel values."""

import dataclasses
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from segcert.data.dicom import is_dicom, read_dicom
from segcert.data.errors import DataError
from segcert.data.identifiers import withheld
from segcert.data.lossy import lossy_step
from segcert.data.orientation import TURNS, UPRIGHT, swaps_axes, turned, upright
from segcert.data.raster import PixelSize, Raster, check_size, over_black, pixel_shape
from segcert.measurements import MM, PIXEL_WIDTHS

PNG = b"\x89PNG"
PNG_DEPTH, PNG_COLOUR_TYPE, PNG_COLOUR_OR_ALPHA = 24, 25, 6
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # TIFF and BigTIFF, little-endian and big-endian
PILLOW_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX")  # not CMYK: its RGB depends on the printer
MAX_PIXELS = 64_000_000
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".dcm", ".dicom")


def image_name(path: str | Path) -> str:
    """Return the name of an image file without its suffix.

    Only the suffixes of known image formats are removed, because names may contain dots.
    """
    path = Path(path)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name


class DepthError(DataError):
    """Error for a 16-bit file that does not state how many of the bits are used."""


class Stored(NamedTuple):
    """A decoded image.

    Attributes
    ----------
    pixels
        Array of shape (C, H, W), uint16; C is 1 or 3.
    bits
        Bit depth of the values; None for a 16-bit file that does not state how many bits are used.
    inverted
        True if low values are bright.
    pixel_size
        Height and width of a pixel in `length_unit`; None if unknown.
    applied
        Descriptions of the steps that turned the stored values into `pixels`, in order.
    length_unit
        Unit of `pixel_size`; see segcert.measurements.
    """

    pixels: npt.NDArray[np.uint16]
    bits: int | None
    inverted: bool = False
    pixel_size: PixelSize | None = None
    applied: tuple[str, ...] = ()
    length_unit: str = MM


def file_format(data: bytes) -> str:
    """Return the format of a file, recognised by its first bytes: "PNG", "TIFF" or "DICOM", or "" for any other format.

    The preamble of a DICOM file may contain a TIFF header (DICOM PS3.10, 7.1). Such a file is treated as DICOM.
    """
    if is_dicom(data):
        return "DICOM"
    if data[:4] == PNG:
        return "PNG"
    return "TIFF" if data[:4] in TIFF else ""


def decode(
    data: bytes, bits: int | None = None, window: tuple[float, float] | None = None, frame: int | None = None
) -> Raster:
    """Decode an image file to an upright image in which high values are bright.

    The EXIF or TIFF orientation is applied, palette indices are replaced by their colours, transparent pixels are
    blended with black, and white-is-zero images are inverted. DICOM images are decoded as a viewer displays them (see
    segcert.data.dicom).

    Parameters
    ----------
    data
        The bytes of the file.
    bits
        Number of bits that the values of a 16-bit PNG or TIFF file use, because such files do not state it. For any
        other file, `bits` must be None or equal to the bit depth of the file.
    window
        The two values that become black and white. Values outside the window are clipped. For DICOM, the window applies
        to the outputs of the modality LUT. For other formats, it applies to the stored values.
    frame
        Number of the frame or page to read from a file that contains several, counted from 1.

    Raises
    ------
    DepthError
        If neither the file nor `bits` nor `window` defines which value is white.
    DataError
        If the file cannot be read as an image, has more than 64 million pixels, or contains several frames and `frame`
        is None.
    """
    kind = file_format(data)
    try:
        if kind == "DICOM":
            stored = _decode_dicom(data, window, frame)
            window = None  # the window has already been applied
        elif kind == "TIFF":
            stored = _decode_tiff(data, frame)
        else:
            stored = _decode_with_pillow(data)
    except DataError:
        raise
    except Exception as error:  # decoders raise many kinds of errors
        raise DataError(
            f"the file cannot be read as an image ({error}); get a new copy, or convert it to PNG"
        ) from error
    if not stored.pixels.size:
        raise DataError("the image has no pixels; get a new copy of the file")
    depth = _depth(stored, bits, window)
    image = Raster(stored.pixels, depth, stored.pixel_size, stored.applied, stored.length_unit)
    if lossy := lossy_step(data, kind):
        image = dataclasses.replace(image, applied=(lossy, *image.applied))
    if window:
        low, high = window
        if low >= (1 << image.bits) - 1 or high <= 0:
            raise DataError(
                f"the image has {image.bits} bits per value. Choose a different window, because none of the possible "
                f"values is in the window from {low} to {high}"
            )
        image = image.windowed(low, high)
    return image.inverted() if stored.inverted else image


def decode_at_depth(
    data: bytes, depth: int, window: tuple[float, float] | None = None, frame: int | None = None
) -> Raster:
    """Decode an image file from a data set whose 16-bit files use `depth` bits. See `decode` for `window` and `frame`.

    Raises DepthError if `depth` is 8 or less and the file has 16 bits, and DataError in the same cases as `decode`.
    """
    try:
        return decode(data, window=window, frame=frame)
    except DepthError:
        if depth <= 8:
            raise
        return decode(data, depth, frame=frame)


def _depth(stored: Stored, bits: int | None, window: tuple[float, float] | None) -> int:
    """Return the bit depth of an image.

    Raises DepthError if the bit depth is unknown, and DataError if `bits` contradicts the file or the pixel values.
    """
    largest = int(stored.pixels.max())
    if bits is None:
        if stored.bits is None and not window:
            raise DepthError(
                "the file has 16 bits per value but does not state how many of them are used (the largest value is "
                f"{largest}). State the bit depth, for example with `--bits 12`, or `bits: 12` in a configuration"
            )
        return stored.bits or 16
    if stored.bits is not None and bits != stored.bits:
        raise DataError(f"the file states a depth of {stored.bits} bits, but `bits` is set to {bits}; omit `bits`")
    if not 1 <= bits <= 16 or largest >= 1 << bits:
        raise DataError(f"the image has values up to {largest}, which do not fit into {bits} bits; correct `bits`")
    return bits


def orientation_of(data: bytes) -> int:
    """Return the orientation tag of an image file, which is a number from 1 to 8 as in EXIF.

    The result is 1 for a file without this tag, such as a DICOM file.
    """
    kind = file_format(data)
    if kind == "DICOM":
        return UPRIGHT
    if kind == "TIFF":
        import tifffile

        with tifffile.TiffFile(io.BytesIO(data)) as file:
            return int(file.pages.first.tags.valueof("Orientation", default=UPRIGHT))
    with Image.open(io.BytesIO(data)) as image:
        return _orientation(image)


def decode_binary(data: bytes) -> npt.NDArray[np.bool_]:
    """Decode the mask of one structure to a Boolean array of shape (H, W).

    A pixel is True if the mean of its channels is above half of the largest value that the bit depth allows.

    Raises DataError if the file cannot be decoded.
    """
    image = decode(data)
    white = (1 << image.bits) - 1
    return np.asarray(2 * image.pixels.sum(axis=0, dtype=np.uint32) > len(image.pixels) * white)


def _decode_with_pillow(data: bytes) -> Stored:
    """Decode a file of any format that Pillow supports."""
    header = data[: PNG_COLOUR_TYPE + 1]
    if header[:4] == PNG and header[PNG_DEPTH] == 16 and header[PNG_COLOUR_TYPE] & PNG_COLOUR_OR_ALPHA:
        return _decode_deep_png(data)
    with Image.open(io.BytesIO(data)) as file:
        check_size(file.height, file.width, MAX_PIXELS)
        frames = getattr(file, "n_frames", 1)
        if frames > 1 and file.format != "MPO":  # MPO: a JPEG photo, followed by previews in other sizes
            raise DataError(f"the file is an animation with {frames} frames; expected one image")
        if file.mode not in PILLOW_MODES and not file.mode.startswith("I"):
            raise DataError(f"the file has {file.mode} colours; expected gray or RGB. Convert the image to RGB")
        about = _described(file)
        image = ImageOps.exif_transpose(file)
        if image.mode.startswith("I"):
            return _stored(np.asarray(image), **about)
        gray = image.mode in ("1", "L", "LA") or has_gray_palette(image)
        if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
            clear = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", clear.size, (0, 0, 0, 255)), clear).convert("RGB")
        if gray and image.mode in ("P", "RGB"):
            return _stored(np.asarray(image.convert("RGB"))[..., 0], **about)
        return _stored(np.asarray(image.convert("L" if gray else "RGB")), **about)


def _described(file: Image.Image) -> dict[str, Any]:
    """Return the fields of `Stored` that describe the orientation of an image and the shape of its pixels."""
    orientation = _orientation(file)
    stated = file.info.get("dpi") or file.info.get("aspect") or file.info.get("jfif_density")
    across, down = stated if isinstance(stated, tuple) and len(stated) == 2 else (0, 0)
    if swaps_axes(orientation):
        across, down = down, across
    shape = pixel_shape(float(across), float(down))
    return {"applied": turned(orientation), "pixel_size": shape, "length_unit": PIXEL_WIDTHS if shape else MM}


def _orientation(file: Image.Image) -> int:
    """Return the EXIF orientation of an image, from 1 to 8; 1 if it has no valid orientation tag."""
    stated = file.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    return int(stated) if stated in TURNS else UPRIGHT


def has_gray_palette(image: Image.Image) -> bool:
    """Return True if an image has a palette and every entry is gray, including entries that no pixel uses."""
    if image.mode not in ("P", "PA"):
        return False
    colours = np.reshape(image.getpalette("RGB") or [], (-1, 3))
    return bool((colours == colours[:, :1]).all())


def _decode_deep_png(data: bytes) -> Stored:
    """Decode a 16-bit PNG with colour or transparency, which Pillow would reduce to 8 bits."""
    import imagecodecs

    with Image.open(io.BytesIO(data)) as file:
        about, orientation = _described(file), _orientation(file)
    pixels = imagecodecs.png_decode(data)
    height, width, samples = pixels.shape
    check_size(height, width, MAX_PIXELS)
    if samples in (2, 4):
        pixels = over_black(pixels[..., :-1], pixels[..., -1:], white=65535)
    return _stored(upright(pixels, orientation), **about)


def _decode_dicom(data: bytes, window: tuple[float, float] | None, frame: int | None) -> Stored:
    try:
        shown = read_dicom(data, window, frame, MAX_PIXELS)
    except DataError as error:  # error messages may contain values from the header
        raise DataError(withheld(str(error), data)) from None
    except Exception as error:
        raise ValueError(withheld(str(error), data)) from None
    stored = Stored(shown.planes, shown.bits, applied=shown.applied)
    if shown.spacing is None:
        return stored
    return stored._replace(pixel_size=shown.spacing.size, length_unit=shown.spacing.unit)


def _decode_tiff(data: bytes, frame: int | None) -> Stored:
    from segcert.data.tiff import read_tiff

    picture = read_tiff(data, frame, MAX_PIXELS)
    bits = picture.bits if picture.bits < 16 else None
    shape = picture.pixel_shape
    return Stored(picture.planes, bits, picture.inverted, shape, picture.applied, PIXEL_WIDTHS if shape else MM)


def _stored(pixels: npt.NDArray[Any], **about: Any) -> Stored:
    """Convert an integer array of shape (H, W) or (H, W, 3) to a `Stored`.

    The bit depth is 8 for uint8, and unknown (None) for any other type.

    `about` contains further fields of `Stored`.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.min() < 0 or pixels.max() > 65535:
        raise DataError(
            f"the image has {pixels.dtype} values from {pixels.min()} to {pixels.max()}; expected values from 0 to "
            "65535"
        )
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.uint16)
    return Stored(planes, 8 if pixels.dtype == np.uint8 else None, **about)
