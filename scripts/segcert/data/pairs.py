"""Images with their masks, as the reader of a data set finds them. Files are decoded only when they are loaded."""

import dataclasses
from collections.abc import Callable

from segcert.data.raster import Labels, Raster


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image and its mask.

    Attributes
    ----------
    name
        Unique in the data set.
    group
        Patient or sequence; the image itself if neither is known.
    load
        Return the image and its mask of class ids, (H, W), at their own sizes. Raises DataError.
    part
        The part of the release, or the split, that the image belongs to.
    """

    name: str
    group: str
    load: Callable[[], tuple[Raster, Labels]]
    part: str | None = None


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """An image or a mask that is left out, the reason, and the file it is in."""

    name: str
    reason: str
    file: str = ""

    def __str__(self) -> str:
        return f"{self.file or self.name}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """Result of a reader: the pairs, and the images and masks without a partner."""

    pairs: list[Pair]
    left_out: list[LeftOut] = dataclasses.field(default_factory=list)
