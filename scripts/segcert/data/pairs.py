"""The image-mask pairs that were found in a data set. Files are decoded only when a pair is loaded."""

import dataclasses
from collections.abc import Callable

from segcert.data.raster import Labels, Raster

NOT_AN_IMAGE = "not an image file"  # such as a README or a list of patients; it is not counted as lacking a counterpart


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image and its mask.

    Attributes
    ----------
    name
        Name of the image, unique in the data set.
    group
        Patient or video sequence; the image's name if neither is known.
    load
        Function that returns the image and its mask at their original sizes. The mask is an array of class ids, of
        shape (H, W). The function raises DataError if the files cannot be decoded.
    part
        Part of the release, such as its test split, that the image belongs to; None if the release is not divided.
    """

    name: str
    group: str
    load: Callable[[], tuple[Raster, Labels]]
    part: str | None = None


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """An image or a mask that is left out: its name, the reason, and the path of its file."""

    name: str
    reason: str
    file: str = ""

    def __str__(self) -> str:
        return f"{self.file or self.name}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The image-mask pairs found in a data set, and the images and masks that are left out."""

    pairs: list[Pair]
    left_out: list[LeftOut] = dataclasses.field(default_factory=list)
