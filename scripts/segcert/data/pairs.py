"""Images with their masks, as a data set's reader finds them; nothing is decoded before it is asked for."""

import dataclasses
from collections.abc import Callable

from segcert.data.raster import Labels, Raster


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image and its mask.

    name: unique in the data set. group: patient, sequence, or the image itself. load: the image, and its mask (H, W) of
    class ids, at their own sizes; raises DataError. part: the part of the release, or the split, that it stands in.
    """

    name: str
    group: str
    load: Callable[[], tuple[Raster, Labels]]
    part: str | None = None


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """An image or a mask that is not used, why, and in which file it was found."""

    name: str
    reason: str
    file: str = ""

    def __str__(self) -> str:
        return f"{self.file or self.name}: {self.reason}"


@dataclasses.dataclass(frozen=True)
class Found:
    """What a reader found: pairs, and what has no partner."""

    pairs: list[Pair]
    left_out: list[LeftOut] = dataclasses.field(default_factory=list)
