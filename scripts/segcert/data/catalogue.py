"""The catalogue of data sets, and functions that describe data sets to users.

Each data set is defined in a module in segcert.data.sets. These modules are imported by name. A Snakemake rule
therefore imports only the module of the data set that it processes. Changes to the modules of other data sets do not
make the rule's outputs stale.
"""

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType

from segcert.data.errors import DataError

SETS = Path(__file__).with_name("sets")
NAMES = tuple(sorted(path.stem for path in SETS.glob("[!_]*.py")))
RELEASED_AS_JPEG = ("isic2018", "kvasir_seg")  # data sets whose images were compressed lossily


@dataclasses.dataclass(frozen=True)
class Archive:
    """A file in an official release.

    Attributes
    ----------
    name
        Official file name.
    holds
        Regular expression that matches the paths of the files in the archive. It is used to recognise an archive that
        was renamed or unpacked.
    page
        Web page that describes the archive.
    url
        Download URL; None if users must download the archive themselves from `page`.
    sha256, md5
        Published checksums; None for a checksum that was not published. If neither was published, the SHA-256 is
        recorded when the archive is first used.
    bytes
        Approximate size in bytes; None if unknown.
    note
        Remark about the download, for users.
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
    """A rule that assigns images to the training, validation and test splits. The test images are certified.

    Attributes
    ----------
    description
        Description of the rule for users.
    split_of
        Function that takes an ImageKey and returns the split of the image, or "" if the image is in no split.
    leaks
        True if images of the same patient or video may be in different splits, which makes test results too optimistic.
    names
        Names of the images in the rule's list of images; empty if the rule has no such list.
    counts
        Number of images in each split; empty if the numbers are not known in advance.
    """

    description: str
    split_of: Callable[["ImageKey"], str]
    leaks: bool = False
    names: frozenset[str] = frozenset()
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ImageKey:
    """The properties of an image that a split rule may use: its data set, name, group, and part of the release."""

    dataset: str
    image: str
    group: str
    part: str | None = None


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A catalogue entry, which describes one data set.

    Attributes
    ----------
    classes
        Class names in the order of their ids 0, 1, ...; class 0 is the background.
    group
        Word for a set of images that belong in the same split, such as "patient" or "video sequence"; "image" if no
        such sets are known.
    splits
        Dict that maps names to split rules; the first rule is the default.
    images
        Number of images in the official release; None if any number is accepted.
    masked
        Number of images with a mask; None if every image has a mask.
    native_sizes
        Sizes of the official images, as pairs (height, width) in pixels; empty if the sizes vary.
    pixel_size
        Height and width of a pixel in `length_unit`, for images of native size; None if unpublished.
    length_unit
        Unit of `pixel_size`; "mm at the detector" for radiographs whose magnification is unpublished.
    bits
        Bit depth of the prepared images.
    file_bits
        Number of bits that are used in the 16-bit files of the release; None if the release has no such files.
    window
        The two stored values that become black and white in the prepared images. If None, these are the lowest and the
        highest possible values.
    left_out_limit
        Largest allowed fraction of images and masks that have no counterpart.
    allow_empty
        True if a mask may contain only background.
    any_orientation
        True if mirrored and rotated images are plausible in this data set. In this case, training images are mirrored
        and rotated for augmentation.
    synthetic
        True if the images are generated.
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
    length_unit: str = "mm"
    bits: int = 8
    file_bits: int | None = None
    window: tuple[float, float] | None = None
    left_out_limit: float = 0.05
    allow_empty: bool = False
    any_orientation: bool = False
    synthetic: bool = False


def module_of(name: str) -> ModuleType:
    """Import a data set's module, which defines DATASET and, for official releases, LAYOUT.

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
folder: your own images in one folder and their masks in a second folder. In the configuration:

  datasets: [clinic]
  own_data:
    clinic:
      kind: folder
      images: data/raw/clinic/images      # PNG, JPEG, TIFF, GIF, BMP or DICOM
      masks: data/raw/clinic/masks        # same names as the images, apart from the suffixes
      mask_suffix: _mask.png
      values: {0: background, 255: lesion}
      group_pattern: ^(\\d+)_              # extracts the patient from an image's name; no patient is in two splits

Or write `table: clinic.csv`, with the columns image, mask, group and split. See docs/how-to/own-data.md. Files in
data/raw/ are versioned with the run; files in other folders are only read, not copied."""


def overview(all_known: Iterable[Dataset]) -> str:
    """Return a text table of the given data sets, with a row for user-supplied data."""
    rows = [("name", "images", "modality", "classes", "download", "licence")]
    for about in all_known:
        by_hand = [archive for archive in about.archives if not archive.url]
        how = "automatic" if about.archives else "not needed"
        if by_hand:
            how = "manual" if len(by_hand) == len(about.archives) else "partly manual"
        count = f"{about.images}" if about.images else "any"
        rows.append((about.name, count, about.modality, ", ".join(about.classes[1:]), how, about.licence))
    rows.append(("folder", "any", "any", "your own", "not needed", "your own"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", "Details: segcert datasets NAME. Your own images: segcert datasets folder"])


def terms(about: Dataset) -> str:
    """Return a data set's title, licence, terms and citation, one per line."""
    return f"{about.title}\n  Licence: {about.licence}\n  Terms: {about.terms}\n  Cite: {about.citation}"


def how_to_get(about: Dataset, archives: Iterable[Archive]) -> str:
    """Return instructions for downloading archives manually: where to get them, and which folder to put them in."""
    lines = [f"{archive.name}: from {archive.page} {archive.note}".rstrip() for archive in archives]
    return (
        f"Put these archives into data/raw/{about.name}/, as downloaded or unpacked, under any name:\n  "
        + "\n  ".join(lines)
        + "\nThen run snakemake again. Or name a folder or URL that contains the files: --config mirror=..."
    )


def describe(about: Dataset) -> str:
    """Return a complete description of a data set for the terminal."""
    count = about.images or "as many as configured"
    sizes = ", ".join(f"{width}x{height}" for height, width in about.native_sizes) or "vary"
    pixel = about.pixel_size
    spacing = f"{pixel[0]:g} x {pixel[1]:g} {about.length_unit}" if pixel else "unknown"
    order = " (where classes overlap, the later one is used)" if len(about.classes) > 2 else ""
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
        checked = "no published checksum; its SHA-256 is recorded on first use"
        if archive.sha256 or archive.md5:
            checked = f"sha256 {archive.sha256}" if archive.sha256 else f"md5 {archive.md5}"
        lines.append(f"  {archive.name}: {archive.url or 'manual download'} ({size}, {checked})")
    if by_hand := [archive for archive in about.archives if not archive.url]:
        lines.append(how_to_get(about, by_hand))
    elif about.archives:
        lines.append(f"Archives are downloaded to data/raw/{about.name}/ unless they are there, packed or unpacked.")
    return "\n".join(lines)
