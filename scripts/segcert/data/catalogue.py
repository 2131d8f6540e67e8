"""What is known about each data set, one module each in segcert.data.sets, loaded by name.

Names are loaded one by one so that a stage runs, and is made stale by, the module of its own data set alone.

What a person has to know of a data set, and to do to get it.
"""

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

from segcert.data.errors import DataError

SETS = Path(__file__).with_name("sets")
NAMES = tuple(sorted(path.stem for path in SETS.glob("[!_]*.py")))


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
    pixel_size: tuple[float, float] | None = None
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


OWN_FOLDER = """\
folder: images of your own, in a folder, with their masks in another. In the configuration:

  datasets: [clinic]
  own_data:
    clinic:
      kind: folder
      images: data/raw/clinic/images      # PNG, JPEG, TIFF, GIF, BMP or DICOM
      masks: data/raw/clinic/masks        # of the same name, but for the suffixes
      mask_suffix: _mask.png
      values: {0: background, 255: lesion}
      group_pattern: ^(\\d+)_              # finds the patient in an image's name, so that none is split up

or `table: clinic.csv` with the columns image, mask, group, split. More: docs/how-to/own-data.md. What lies in data/raw/
is versioned with the run; folders elsewhere are read where they are."""


def overview(all_known: Iterable[Dataset]) -> str:
    """A line for each data set, and how to name one of one's own."""
    rows = [("name", "images", "modality", "classes", "to get", "licence")]
    for about in all_known:
        by_hand = [archive for archive in about.archives if not archive.url]
        how = "fetched" if about.archives else "made here"
        if by_hand:
            how = "by hand" if len(by_hand) == len(about.archives) else "partly by hand"
        count = f"{about.images}" if about.images else "any"
        rows.append((about.name, count, about.modality, ", ".join(about.classes[1:]), how, about.licence))
    rows.append(("folder", "any", "your own", "your own", "yours", "yours"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", "More of one: segcert datasets NAME. Images of your own: segcert datasets folder"])


def terms(about: Dataset) -> str:
    """Title, licence, terms and citation on a few lines."""
    return f"{about.title}\n  Licence: {about.licence}\n  Terms: {about.terms}\n  Cite: {about.citation}"


def how_to_get(about: Dataset, archives: Iterable[Archive]) -> str:
    """Where some archives are to be had by hand, and where to put them."""
    lines = [f"{archive.name}: from {archive.page} {archive.note}".rstrip() for archive in archives]
    return (
        f"Put into data/raw/{about.name}/, as downloaded or unpacked, under any name:\n  "
        + "\n  ".join(lines)
        + "\nthen run snakemake again. Or name a folder or URL that has the files: --config mirror=..."
    )


def describe(about: Dataset) -> str:
    """All that the catalogue says of a data set."""
    return "\n".join([f"{about.name}: {terms(about)}", *(f"  {line}" for line in _facts(about)), *_archives(about)])


def _facts(about: Dataset) -> Iterator[str]:
    count = about.images or "as many as asked for"
    yield f"Images: {count}, {about.modality}, {about.channels} channel(s), {about.bits} bits"
    sizes = ", ".join(f"{width}x{height}" for height, width in about.native_sizes) or "vary"
    spacing = f"{about.pixel_size[0]:g} x {about.pixel_size[1]:g} mm" if about.pixel_size else "unknown"
    yield f"Native size (width x height): {sizes}; pixel size: {spacing}"
    order = " (where they overlap, the later one counts)" if len(about.classes) > 2 else ""
    yield f"Classes: {', '.join(about.classes)}{order}"
    yield f"Grouped by: {about.group}"
    notes = " (the default)"
    for name, rule in about.splits.items():
        leaks = " (LEAKS between the splits)" if rule.leaks else ""
        yield f"Split {name}{notes}{leaks}: {rule.description}"
        notes = ""


def _archives(about: Dataset) -> Iterator[str]:
    for archive in about.archives:
        size = f"{archive.bytes / 1e6:,.0f} MB" if archive.bytes else "size not known"
        checked = "checksum not published: recorded when first seen"
        if archive.sha256 or archive.md5:
            checked = f"sha256 {archive.sha256}" if archive.sha256 else f"md5 {archive.md5}"
        yield f"  {archive.name}: {archive.url or 'by hand'} ({size}, {checked})"
    if by_hand := [archive for archive in about.archives if not archive.url]:
        yield how_to_get(about, by_hand)
    elif about.archives:
        yield f"Fetched into data/raw/{about.name}/; an archive or its unpacked folder that lies there is taken."
