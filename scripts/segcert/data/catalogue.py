"""What is known about each data set, one module each in segcert.data.sets, loaded by name.

Names are loaded one by one so that a stage runs, and is made stale by, the module of its own data set alone.
"""

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from types import ModuleType

from segcert.data.errors import DataError
from segcert.data.images import PixelSize

NAMES = ("phantom", "montgomery", "shenzhen", "jsrt", "isic2018", "cvc_clinicdb", "kvasir_seg")


@dataclasses.dataclass(frozen=True)
class Archive:
    """A file of an official release.

    name: its official file name. holds: a pattern of what lies in it, by which an archive of another name or an
    unpacked folder is recognised. page: where it is described. url: where it is fetched; None: a person has to get it,
    from `page`, as `note` says. sha256, md5: as published; None: unknown, recorded when it is first seen. bytes: about.
    """

    name: str
    holds: str
    page: str
    url: str | None = None
    sha256: str | None = None
    md5: str | None = None
    bytes: int | None = None
    note: str = ""


@dataclasses.dataclass(frozen=True)
class SplitRule:
    """A rule of which images train, validate and are certified.

    split_of: "" for an image that is in none. leaks: whether images of one patient or video fall on several sides, so
    that test numbers are too good. names: the images that the rule speaks of, if it lists them. counts: how many it
    puts into each split, where that is known before the images are there.
    """

    description: str
    split_of: Callable[["Named"], str]
    leaks: bool = False
    names: frozenset[str] = frozenset()
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def tests(self) -> int | None:
        """How many it tests, where that is known before the images are there."""
        return self.counts.get("test")


@dataclasses.dataclass(frozen=True)
class Named:
    """What a split rule may go by: the names of an image, its group, and the part of the release that it stands in."""

    dataset: str
    image: str
    group: str
    part: str | None = None


@dataclasses.dataclass(frozen=True)
class Dataset:
    """One data set.

    Attributes
    ----------
    classes
        Names of the class ids 0, 1, ...; class 0 is the background.
    group
        What an image belongs to: patient, video sequence, or image where nothing is published.
    splits
        Rules by name; the first is the default.
    images
        How many the official release has; None: any number.
    masked
        How many of them have a mask; None: all.
    native_sizes
        Heights and widths of the official images; empty where they vary.
    pixel_size
        Height and width of a pixel of an image of a native size, in mm, where published.
    bits
        Depth that is kept.
    left_out_limit
        Share of images and masks that may lack a partner.
    allow_empty
        Whether a mask may hold nothing but background.
    any_orientation
        Whether a mirrored or turned image could be one of this set: how training may change its images.
    """

    name: str
    title: str
    modality: str
    channels: int
    classes: tuple[str, ...]
    citation: str
    licence: str
    terms: str
    splits: Mapping[str, SplitRule]
    group: str
    archives: tuple[Archive, ...] = ()
    images: int | None = None
    masked: int | None = None
    native_sizes: tuple[tuple[int, int], ...] = ()
    pixel_size: PixelSize | None = None
    bits: int = 8
    left_out_limit: float = 0.05
    allow_empty: bool = False
    any_orientation: bool = False
    synthetic: bool = False


def module_of(name: str) -> ModuleType:
    """The module of a data set: DATASET and, for official releases, LAYOUT. Raises DataError for an unknown name."""
    if name not in NAMES:
        raise DataError(f"found the data set {name!r}; expected one of {', '.join(NAMES)}")
    return importlib.import_module(f"segcert.data.sets.{name}")


def dataset(name: str) -> Dataset:
    """What is known about a data set. Raises DataError for an unknown name."""
    about: Dataset = module_of(name).DATASET
    return about
