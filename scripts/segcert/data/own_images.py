"""Images of one's own: PNG, TIFF and DICOM files as whole numbers on their own grid."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segcert.data.errors import DataError

DICOM_PREAMBLE = 128
PNG_DEPTH, PNG_COLOUR_TYPE, PNG_COLOUR = 24, 25, 2


@dataclasses.dataclass(frozen=True)
class OwnImage:
    """An image file.

    Attributes
    ----------
    pixels
        (C, H, W) uint16, from 0 to 2^bits - 1; one channel or three.
    bits
        1 to 16.
    pixel_size
        Height and width of a pixel in mm, where the file says so.
    """

    pixels: npt.NDArray[np.uint16]
    bits: int
    pixel_size: tuple[float, float] | None = None

    def unit(self) -> npt.NDArray[np.float32]:
        """(C, H, W) float32 in [0, 1], on the grid k / (2^bits - 1)."""
        return self.pixels.astype(np.float32) / np.float32(2**self.bits - 1)

    def resized(self, size: int) -> "OwnImage":
        """Area-averaging resize to (size, size), rounded to the same grid; the pixel size follows."""
        height, width = self.pixels.shape[1:]
        if height == width == size:
            return self
        planes = [
            np.asarray(Image.fromarray(plane.astype(np.float32)).resize((size, size), Image.Resampling.BOX))
            for plane in self.pixels
        ]
        scaled = None
        if self.pixel_size:
            scaled = (self.pixel_size[0] * height / size, self.pixel_size[1] * width / size)
        return OwnImage(np.rint(np.stack(planes)).astype(np.uint16), self.bits, scaled)

    def with_channels(self, channels: int) -> "OwnImage":
        """With the wanted channels: gray saved as RGB becomes one channel. Raises DataError where it cannot."""
        found = len(self.pixels)
        if found == channels:
            return self
        if channels == 1 and (self.pixels == self.pixels[:1]).all():
            return dataclasses.replace(self, pixels=self.pixels[:1])
        raise DataError(f"image: found {found} channels; the segmenter takes {channels}")


def read_own_image(path: str | Path, bits: int | None = None) -> OwnImage:
    """Read a PNG, TIFF or DICOM file.

    bits: of its grid, where the file does not say it (8 bits in a 16-bit file, say); by default DICOM's BitsStored, and
    of other 16-bit files 12 if no value is above 4095.

    Raises DataError, naming the file, for anything that is no such image.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    readers = {b"\x89PNG": _read_png, b"II*\0": _read_tiff, b"MM\0*": _read_tiff}
    with path.open("rb") as file:
        head = file.read(DICOM_PREAMBLE + 4)
    reader = _read_dicom if head[DICOM_PREAMBLE:] == b"DICM" else readers.get(head[:4])
    if reader is None:
        raise DataError(f"{path}: is no PNG, TIFF or DICOM file; convert it (JPEG loses what certificates speak of)")
    try:
        image = reader(path)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:  # decoders fail in many ways
        raise DataError(f"{path}: cannot be read as an image ({error}); write it anew as PNG") from error
    if bits is None:
        return image
    if not 1 <= bits <= 16 or image.pixels.max() >= 1 << bits:
        raise DataError(f"{path}: found values up to {image.pixels.max()}; bits {bits} cannot hold them")
    return dataclasses.replace(image, bits=bits)


def _read_png(path: Path) -> OwnImage:
    with path.open("rb") as file:
        header = file.read(PNG_COLOUR_TYPE + 1)
    if header[PNG_DEPTH] == 16 and header[PNG_COLOUR_TYPE] & PNG_COLOUR:
        raise DataError("is a 16-bit colour PNG, of which Pillow reads 8 bits; write it as 16-bit TIFF")
    with Image.open(path) as image:
        if image.mode.startswith("I"):
            return _own_image(np.asarray(image))
        gray = image.mode in ("1", "L", "LA")
        return _own_image(np.asarray(image.convert("L" if gray else "RGB")))


def _read_tiff(path: Path) -> OwnImage:
    import tifffile

    with tifffile.TiffFile(path) as file:
        if file.pages.first.photometric == tifffile.PHOTOMETRIC.PALETTE:
            raise DataError("holds palette indices; convert it to gray or RGB")
        inverted = file.pages.first.photometric == tifffile.PHOTOMETRIC.MINISWHITE
        image = _own_image(file.asarray())
    full = np.uint16((1 << image.bits) - 1)
    return dataclasses.replace(image, pixels=full - image.pixels) if inverted else image


def _read_dicom(path: Path) -> OwnImage:
    import pydicom

    file = pydicom.dcmread(path)
    pixels = file.pixel_array
    if file.PixelRepresentation:
        raise DataError("holds signed pixel values; export a window of it as 16-bit PNG")
    if file.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2", "RGB"):
        raise DataError(
            f"has the photometric interpretation {file.PhotometricInterpretation}; expected MONOCHROME or RGB"
        )
    if file.PhotometricInterpretation == "MONOCHROME1":
        pixels = 2**file.BitsStored - 1 - pixels
    spacing = file.get("PixelSpacing") or file.get("ImagerPixelSpacing")
    image = _own_image(pixels, int(file.BitsStored))
    return dataclasses.replace(image, pixel_size=(float(spacing[0]), float(spacing[1])) if spacing else None)


def _own_image(pixels: npt.NDArray[Any], bits: int | None = None) -> OwnImage:
    """From (H, W) or (H, W, 3) of unsigned integers."""
    if pixels.ndim == 3 and pixels.shape[2] in (1, 3):
        planes = pixels.transpose(2, 0, 1)
    elif pixels.ndim == 2:
        planes = pixels[None]
    else:
        raise DataError(f"has the shape {pixels.shape}; expected one picture, (H, W) or (H, W, 3)")
    if pixels.dtype.kind not in "ui" or pixels.min() < 0 or pixels.max() > 65535:
        raise DataError(f"holds {pixels.dtype} from {pixels.min()} to {pixels.max()}; expected 8 or 16 bits, unsigned")
    if bits is None:
        bits = 8 if pixels.dtype == np.uint8 else 12 if pixels.max() <= 4095 else 16
    return OwnImage(np.ascontiguousarray(planes, dtype=np.uint16), bits)
