"""Statistics of a prepared data set: counts, areas, gray levels and excluded images."""

import collections
import csv
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from segcert.data.dataset import SPLITS, PreparedDataset, Row
from segcert.data.manifest import read_manifest
from segcert.io.atomic import atomic_file
from segcert.measurements import AREA_UNITS
from segcert.report.alignment import Alignment, judge_alignment

INTENSITY_BINS = 64
AREA_BINS = 15


@dataclasses.dataclass(frozen=True)
class Spread:
    """The mean, minimum and maximum of a set of numbers."""

    mean: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class ClassSummary:
    """Summary of a class in a split, over the images in which the class occurs.

    Attributes
    ----------
    images
        Number of images in which the class occurs.
    percent, area
        Area of the class: `percent` as a percentage of the prepared image, and `area` in `DataSummary.area_unit`.
        `area` is None if this unit is "".
    histogram
        Histogram of the class area: the number of images in each bin. The bins have equal widths and cover the range of
        the class in `DataSummary.ranges`.
    """

    images: int
    percent: Spread | None
    area: Spread | None
    histogram: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class SplitSummary:
    """Summary of a split: the number of images, the number of groups, and a dict that maps class names to summaries.

    `intensity` contains, for each channel, the density of gray levels in equal bins of [0, 1].
    """

    images: int
    groups: int
    intensity: tuple[tuple[float, ...], ...]
    classes: dict[str, ClassSummary]


@dataclasses.dataclass(frozen=True)
class DataSummary:
    """Summary of a prepared data set.

    Attributes
    ----------
    about
        The content of dataset.json.
    rule, description, leaks
        `rule` and `description` are the name and the description of the split rule. `leaks` is True if images of the
        same group may be in different splits.
    shared_groups
        Number of groups in more than one split.
    sizes
        Smallest and largest (height, width) before preparation, or a single entry if all images have the same size.
    left_out
        The name, the reason and the file for each excluded image or mask.
    splits
        Dict that maps the name of each split to its summary.
    ranges
        Smallest and largest area of each class, in % of the image, over the images in which the class occurs. If a
        class never occurs, its range is (0, 0).
    alignment
        The fit between the masks and the images.
    area_unit
        Unit of areas: "mm²" or "mm² at the detector" if the size of every image is known in this unit, otherwise "".
    """

    about: dict[str, Any]
    rule: str
    description: str
    leaks: bool
    shared_groups: int
    sizes: tuple[tuple[int, int], ...]
    left_out: tuple[tuple[str, str, str], ...]
    splits: dict[str, SplitSummary]
    ranges: dict[str, tuple[float, float]]
    alignment: Alignment
    area_unit: str = ""

    @property
    def images(self) -> int:
        """The total number of images in all splits."""
        return sum(split.images for split in self.splits.values())

    @property
    def left_out_by_kind(self) -> dict[str, int]:
        """Dict that maps each reason to the number of excluded images or masks, with the most frequent reason first."""
        return dict(collections.Counter(reason for _, reason, _ in self.left_out).most_common())


def summarise(dataset: PreparedDataset) -> DataSummary:
    """Summarise a prepared data set, reading one image at a time."""
    folder, rows = dataset.index.parent, dataset.rows
    stated = json.loads((folder / "splits.json").read_text(encoding="utf-8"))
    with (folder / "left_out.csv").open(newline="", encoding="utf-8") as file:
        left_out = tuple((row["name"], row["reason"], row["file"]) for row in csv.DictReader(file))
    areas = {name: np.bincount(dataset.mask(name).ravel(), minlength=len(dataset.about["classes"])) for name in rows}
    percent = {name: 100 * counts / counts.sum() for name, counts in areas.items()}
    ranges = {}
    for class_id, title in list(enumerate(dataset.about["classes"]))[1:]:
        found = [float(shares[class_id]) for shares in percent.values() if shares[class_id]]
        ranges[title] = (min(found, default=0.0), max(found, default=0.0))
    sizes = sorted({(row.height, row.width) for row in rows.values()}, key=lambda size: (size[0] * size[1], size))
    splits_of_group = collections.Counter(group for group, _ in {(row.group, row.split) for row in rows.values()})
    return DataSummary(
        about=dataset.about,
        rule=stated["rule"],
        description=stated["description"],
        leaks=stated["leaks"],
        shared_groups=sum(splits > 1 for splits in splits_of_group.values()),
        sizes=tuple(dict.fromkeys((sizes[0], sizes[-1]))),
        left_out=left_out,
        splits={split: _summarise_split(dataset, dataset.names(split), percent, ranges) for split in SPLITS},
        ranges=ranges,
        alignment=judge_alignment(dataset),
        area_unit=_image_areas(dataset)[1],
    )


def write_summary(summary: DataSummary, output: str | Path) -> None:
    """Write the summary of a data set as JSON."""
    with atomic_file(output) as path:
        path.write_text(json.dumps(dataclasses.asdict(summary), indent=1) + "\n", encoding="utf-8")


def read_summary(path: str | Path) -> DataSummary:
    """Read the summary of a data set from its JSON file."""
    return TypeAdapter(DataSummary).validate_json(Path(path).read_bytes())


def read_manifests(paths: Iterable[str | Path]) -> dict[str, dict[str, Any]]:
    """Read the manifests of raw files (segcert.data.manifest). Return a dict that maps data sets to manifests."""
    manifests = [read_manifest(Path(path).parent) for path in paths]
    return {manifest.dataset: manifest.model_dump() for manifest in manifests}


def _summarise_split(
    dataset: PreparedDataset,
    names: Sequence[str],
    percent: Mapping[str, npt.NDArray[np.float64]],
    ranges: Mapping[str, tuple[float, float]],
) -> SplitSummary:
    full, _ = _image_areas(dataset)
    classes = {}
    for class_id, title in list(enumerate(dataset.about["classes"]))[1:]:
        found = {name: float(percent[name][class_id]) for name in names if percent[name][class_id]}
        histogram, _ = np.histogram(list(found.values()), AREA_BINS, ranges[title])
        classes[title] = ClassSummary(
            images=len(found),
            percent=_spread(found.values()),
            area=_spread(full[name] * share / 100 for name, share in found.items()) if full else None,
            histogram=tuple(histogram.tolist()),
        )
    return SplitSummary(
        images=len(names),
        groups=len({dataset.group(name) for name in names}),
        intensity=_intensity(dataset, names),
        classes=classes,
    )


def _image_areas(dataset: PreparedDataset) -> tuple[dict[str, float], str]:
    """Return a dict that maps image names to image areas, and the unit of these areas.

    If the areas are not all known in the same unit, return an empty dict and "".
    """
    pixels = dataset.about["image_size"] ** 2
    known = {name: dataset.pixel_scale(name) for name in dataset.rows}
    sizes = {name: size[0] * size[1] * pixels for name, (size, _) in known.items() if size}
    units = {AREA_UNITS.get(unit) for _, unit in known.values()}
    unit = units.pop() if len(units) == 1 else None
    return (sizes, unit.replace("mm2", "mm²")) if unit and len(sizes) == len(known) else ({}, "")


def _spread(values: Iterable[float]) -> Spread | None:
    numbers = list(values)
    return Spread(float(np.mean(numbers)), min(numbers), max(numbers)) if numbers else None


def _intensity(dataset: PreparedDataset, names: Sequence[str]) -> tuple[tuple[float, ...], ...]:
    """Return the density of gray levels of each channel in equal bins of [0, 1], without the padding."""
    bins = min(INTENSITY_BINS, 1 << dataset.about["bits"])
    counts = np.zeros((dataset.about["channels"], bins))
    for name in names:
        inside = _inside_padding(dataset.about, dataset.rows[name])
        counts += [np.histogram(plane[inside], bins, (0, 1))[0] for plane in dataset.image(name)]
    density = bins * counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    return tuple(tuple(channel) for channel in density.round(5).tolist())


def _inside_padding(about: Mapping[str, Any], row: Row) -> tuple[slice, slice]:
    """Return the slices of rows and columns of a prepared image that are not padding."""
    if not about["keep_aspect"]:
        return slice(None), slice(None)
    side = max(row.height, row.width)
    scale = about["image_size"] / side
    starts = [((side - length) // 2, length) for length in (row.height, row.width)]
    low_high = [(int(np.ceil(start * scale)), int((start + length) * scale)) for start, length in starts]
    return slice(*low_high[0]), slice(*low_high[1])
