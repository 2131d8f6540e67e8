"""The catalogue of data sets, and its descriptions for people.

Each data set is a module in segcert.data.sets, loaded by name. A rule thus imports the module of its own data set only,
and changes of other data sets do not make its outputs stale.
"""

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType

from segcert.data.errors import DataError

SETS = Path(__file__).with_name("sets")
NAMES = tuple(sorted(path.stem for path in SETS.glob("[!_]*.py")))


@dataclasses.dataclass(frozen=True)
class Archive:
    """A file of an official release.

    Attributes
    ----------
    name
        Official file name.
    holds
        Pattern of the files in it. It identifies an archive with another name, or an unpacked folder.
    page
        Web page that describes it.
    url
        Download address; None: a person has to get it from `page`. `note` has details.
    sha256, md5
        Published checksum; None: not published, recorded when the archive is first seen.
    bytes
        Approximate size.
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
    """A rule that assigns images to training, validation and test (certification).

    Attributes
    ----------
    split_of
        Return the split of an image, or "" if it is in none.
    leaks
        True if images of one patient or video are in several splits, which makes test results too good.
    names
        Images that the rule lists, if it lists them.
    counts
        Number of images in each split, if known before the images are available.
    """

    description: str
    split_of: Callable[["ImageKey"], str]
    leaks: bool = False
    names: frozenset[str] = frozenset()
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ImageKey:
    """Input of a split rule: the names of an image, its data set and group, and its part of the release."""

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
        Unit that is never split up: patient, video sequence, or image if nothing else is published.
    splits
        Rules by name; the first is the default.
    images
        Number of images in the official release; None: any number.
    masked
        Number of images with a mask; None: all.
    native_sizes
        Heights and widths of the official images; empty if they vary.
    pixel_size
        Height and width of a pixel of an image of native size, in mm, if published.
    bits
        Bit depth of the prepared images.
    left_out_limit
        Largest share of images and masks without a partner.
    allow_empty
        True if a mask may have background only.
    any_orientation
        True if a mirrored or rotated image could be in this data set. Training then augments with such images.
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
    """Import the module of a data set: DATASET and, for official releases, LAYOUT.

    Raises DataError for an unknown name.
    """
    if name not in NAMES:
        raise DataError(f"found the data set {name!r}; expected one of {', '.join(NAMES)}")
    return importlib.import_module(f"segcert.data.sets.{name}")


def dataset(name: str) -> Dataset:
    """Return the catalogue entry of a data set. Raises DataError for an unknown name."""
    about: Dataset = module_of(name).DATASET
    return about


OWN_FOLDER = """\
folder: your own images in a folder and their masks in another. In the configuration:

  datasets: [clinic]
  own_data:
    clinic:
      kind: folder
      images: data/raw/clinic/images      # PNG, JPEG, TIFF, GIF, BMP or DICOM
      masks: data/raw/clinic/masks        # with the names of the images, except for the suffixes
      mask_suffix: _mask.png
      values: {0: background, 255: lesion}
      group_pattern: ^(\\d+)_              # finds the patient in an image's name: no patient is in two splits

or `table: clinic.csv` with the columns image, mask, group, split. See docs/how-to/own-data.md. Files in data/raw/ are
versioned with the run; files in other folders are read where they are."""


def overview(all_known: Iterable[Dataset]) -> str:
    """Table of all data sets, with a line about user-supplied data."""
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
    return "\n".join([*lines, "", "Details: segcert datasets NAME. Your own images: segcert datasets folder"])


def terms(about: Dataset) -> str:
    """Title, licence, terms and citation, in four lines."""
    return f"{about.title}\n  Licence: {about.licence}\n  Terms: {about.terms}\n  Cite: {about.citation}"


def how_to_get(about: Dataset, archives: Iterable[Archive]) -> str:
    """Instructions to get archives by hand: their sources and the folder to put them in."""
    lines = [f"{archive.name}: from {archive.page} {archive.note}".rstrip() for archive in archives]
    return (
        f"Put these into data/raw/{about.name}/, as downloaded or unpacked, under any name:\n  "
        + "\n  ".join(lines)
        + "\nThen run snakemake again. Or add a folder or URL that has the files: --config mirror=..."
    )


def describe(about: Dataset) -> str:
    """Complete description of a data set."""
    count = about.images or "as many as configured"
    sizes = ", ".join(f"{width}x{height}" for height, width in about.native_sizes) or "vary"
    spacing = f"{about.pixel_size[0]:g} x {about.pixel_size[1]:g} mm" if about.pixel_size else "unknown"
    order = " (later ones are on top where they overlap)" if len(about.classes) > 2 else ""
    lines = [
        f"{about.name}: {terms(about)}",
        f"  Images: {count}, {about.modality}, {about.channels} channel(s), {about.bits} bits",
        f"  Native size (width x height): {sizes}; pixel size: {spacing}",
        f"  Classes: {', '.join(about.classes)}{order}",
        f"  Grouped by: {about.group}",
    ]
    default = " (the default)"
    for name, rule in about.splits.items():
        leaks = " (LEAKS between the splits)" if rule.leaks else ""
        lines.append(f"  Split {name}{default}{leaks}: {rule.description}")
        default = ""
    for archive in about.archives:
        size = f"{archive.bytes / 1e6:,.0f} MB" if archive.bytes else "size unknown"
        checked = "no published checksum; recorded when first seen"
        if archive.sha256 or archive.md5:
            checked = f"sha256 {archive.sha256}" if archive.sha256 else f"md5 {archive.md5}"
        lines.append(f"  {archive.name}: {archive.url or 'by hand'} ({size}, {checked})")
    if by_hand := [archive for archive in about.archives if not archive.url]:
        lines.append(how_to_get(about, by_hand))
    elif about.archives:
        lines.append(f"Downloaded to data/raw/{about.name}/, unless the archives or their folders are there already.")
    return "\n".join(lines)
