"""Numerical differences between runs, computed image by image from certificates and certified intervals."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segcert.compare.runs import NAMES, ComparedRun, missing_columns, read_numbers
from segcert.provenance.lineage import Lineage
from segcert.results.confidence import DIFFERENCE, mean_interval
from segcert.results.tables import METRICS, MODEL, SETTINGS

ENDS = ["low", "median", "high"]
COLUMNS = ["number", "a", "b", "images", "moved", "difference", "difference_low", "difference_high"]

INTERVALS = ["vote_dice", "certified_dice", "worst_case_dice"]  # columns of the comparison table that have intervals
PAIRED = ["paired_images", *DIFFERENCE[1:]]
REFERENCE, MISSING, NO_REFERENCE = "reference", "not in this run", "not in the first run"
BY_NAME = "paired by name"
NOT_PAIRED = {
    "no image in common": "their test images have different names",
    "other pixels": "images with the same names have different pixels: their preparation or size differs",
    "no number": "no common image has a certified Dice in both runs",
}


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Comparison of the numerical results of two runs, `a` and `b`.

    `table` contains a row for each combination of keys (such as data set, model and sigma) and each quantity (such as
    certified Dice). After the keys, its columns are:

    - `number`: name of the quantity
    - `a`, `b`: mean of the quantity over the images of each run
    - `images`: number of images that both runs contain
    - `moved`: number of common images for which the quantity differs
    - `difference`: mean of `b` - `a` over the common images
    - `difference_low`, `difference_high`: 95% interval of the mean difference
    """

    table: pd.DataFrame
    only_a: pd.DataFrame  # keys that only run a contains
    only_b: pd.DataFrame  # keys that only run b contains
    missing_a: Sequence[str] = ()  # columns missing in run a that are compared or that run b contains
    missing_b: Sequence[str] = ()  # columns missing in run b that are compared or that run a contains

    @property
    def changed(self) -> pd.DataFrame:
        """Rows of `table` in which the two runs differ."""
        table = self.table
        means_differ = (table["a"] != table["b"]) & ~(table["a"].isna() & table["b"].isna())
        return table[(table["moved"] > 0) | (table["images"] == 0) | means_differ]

    @property
    def identical(self) -> bool:
        """True if both runs have the same rows, columns and numbers."""
        same_rows = self.only_a.empty and self.only_b.empty
        return self.changed.empty and same_rows and self.missing_a == self.missing_b


def changed_metrics(a: Lineage, b: Lineage) -> Numbers:
    """Compare the metrics of two runs for each data set, model, regime, denoiser and sigma.

    Metrics are averaged over classes, then over images. Raises CompareError if a run has no certificates.
    """
    return _compare_files(a, b, "certificates", [], [*METRICS, "radius"])


def changed_intervals(a: Lineage, b: Lineage) -> Numbers:
    """Compare the certified intervals of two runs for each model, sigma, measurement and unit.

    Values are in the unit of the measurement. Values in different units are not compared. Infinite ends of intervals
    are left out of the means. Raises CompareError if a run has no intervals.
    """
    return _compare_files(a, b, "intervals", ["measurement", "unit"], ENDS)


def _compare_files(a: Lineage, b: Lineage, file: str, keys: Sequence[str], numbers: Sequence[str]) -> Numbers:
    paths = [Path(run.root, "results", run.run, f"{file}.parquet") for run in (a, b)]
    tables = [read_numbers(path, [*NAMES, *keys], ["sigma"], numbers) for path in paths]
    missing_a, missing_b = missing_columns(numbers, *(table.columns for table in tables))
    shared = [name for name in numbers if name not in {*missing_a, *missing_b}]
    rows_a, rows_b = (table.replace([np.inf, -np.inf], np.nan) for table in tables)
    compared = compare_numbers(rows_a, rows_b, [*MODEL, *keys], shared)
    return dataclasses.replace(compared, missing_a=missing_a, missing_b=missing_b)


def compare_numbers(a: pd.DataFrame, b: pd.DataFrame, keys: Sequence[str], numbers: Sequence[str]) -> Numbers:
    """Compare the columns `numbers` of two tables image by image, for each combination of `keys`.

    The column `image` contains the names of the images, and `group` their groups, as for `mean_interval`. Rows with the
    same keys and image are averaged first.
    """
    groups: list[dict[Any, pd.DataFrame]] = []
    for rows in (a, b):
        means = rows.groupby([*keys, "image"], sort=False).agg(dict.fromkeys(numbers, "mean") | {"group": "first"})
        groups.append(dict(list(means.groupby(level=[*keys], sort=False))))
    rows_of_table = []
    for key in groups[1]:
        if key not in groups[0]:
            continue
        images_a, images_b = (group[key].droplevel([*keys]) for group in groups)
        common = images_a.index.intersection(images_b.index)
        for name in numbers:
            compared = _compare_images(images_a[name], images_b[name], images_b["group"][common])
            rows_of_table.append((*key, name, *compared))
    only_a = pd.DataFrame([key for key in groups[0] if key not in groups[1]], columns=[*keys])
    only_b = pd.DataFrame([key for key in groups[1] if key not in groups[0]], columns=[*keys])
    return Numbers(pd.DataFrame(rows_of_table, columns=[*keys, *COLUMNS]), only_a, only_b)


def _compare_images(a: "pd.Series[float]", b: "pd.Series[float]", groups: "pd.Series[str]") -> tuple[float, ...]:
    """Return the values of the columns `a` to `difference_high` of `Numbers.table` for a quantity.

    `a` and `b` contain the quantity for each image of the two runs.

    `groups` maps the common images to their groups.
    """
    old, new = a[groups.index].to_numpy(), b[groups.index].to_numpy()
    differing = int(((old != new) & ~(np.isnan(old) & np.isnan(new))).sum())
    if differing:
        interval = mean_interval(new - old, groups)
    elif len(groups):
        interval = 0.0, 0.0, 0.0
    else:
        interval = np.nan, np.nan, np.nan
    return float(a.mean()), float(b.mean()), len(groups), differing, *interval


def compare_table(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """Return a table with a row for each data set, model, regime, denoiser, sigma and run, in this order.

    If a run lacks a combination that another run contains, this combination has a row without numbers. After the keys,
    the columns are:

    - certificate settings, number of images, and number of images on which the certified Dice is undefined
    - Dice of the vote, certified Dice and worst-case Dice with 95% intervals, `abstain` and `radius`, as in the run's
      main table
    - `difference`: mean difference in certified Dice from the first run, on the images that both runs contain, with a
      95% interval
    - `paired_images`: number of images from which the difference is computed
    - `note`: reason why numbers or the difference are missing: `reference` (the first run), `not in this run`, `not in
      the first run` or a key of NOT_PAIRED. The note `paired by name` means that the pixels could not be compared,
      because votes are missing.
    """
    shown = [*SETTINGS, "n", "images", "undefined"]
    for name in INTERVALS:
        shown += [name, f"{name}_low", f"{name}_high"]
    shown.append("abstain")
    tables = [run.table().set_index(MODEL) for run in runs]
    same = [same_images(runs[0], run) for run in runs]
    differences = [_differences(runs[0], run, images) for run, images in zip(runs, same, strict=True)]
    rows: list[dict[str, Any]] = []
    for key in _in_order([key for table in tables for key in table.index]):
        for number, (run, table) in enumerate(zip(runs, tables, strict=True)):
            row: dict[str, Any] = dict(zip(MODEL, key, strict=True)) | {"run": run.name}
            rows.append(row)
            if key not in table.index:
                row["note"] = MISSING
                continue
            row |= {name: table.loc[key, name] for name in shown}
            if number == 0:
                row["note"] = REFERENCE
            elif key not in tables[0].index:
                row["note"] = NO_REFERENCE
            else:
                _, row["note"] = same[number][key[0]]
                if row["note"] in ("", BY_NAME):
                    row |= differences[number].get(key, {"note": "no number"})
    compared = pd.DataFrame(rows, columns=[*MODEL, "run", *shown, *PAIRED, "note"])
    compared["n"] = compared["n"].convert_dtypes()
    return compared.astype(dict.fromkeys(["n0", "k", "images", "undefined", "paired_images"], "Int64"))


def same_images(first: ComparedRun, other: ComparedRun) -> dict[str, tuple[set[str], str]]:
    """Return, for each data set of `other`, the images with the same name and pixels in both runs, and a note.

    The note is a key of NOT_PAIRED, or BY_NAME if the pixels could not be compared, or an empty string.
    """
    found: dict[str, tuple[set[str], str]] = {}
    for dataset in other.certificates["dataset"].unique():
        names = [set(run.certificates.loc[run.certificates["dataset"] == dataset, "image"]) for run in (first, other)]
        common = names[0] & names[1]
        digests = [run.images.get(dataset) for run in (first, other)]
        if not common:
            found[dataset] = set(), "no image in common"
        elif digests[0] is None or digests[1] is None:
            found[dataset] = common, BY_NAME
        else:
            same = {image for image in common if digests[0].get(image) == digests[1].get(image)}
            found[dataset] = same, "" if same else "other pixels"
    return found


def _differences(
    first: ComparedRun, other: ComparedRun, same: Mapping[str, tuple[set[str], str]]
) -> dict[tuple[Any, ...], dict[str, float]]:
    """Return, for each row of the main table, the certified Dice of `other` minus that of `first`.

    Only the images in `same` are used.
    """
    sides = []
    for run in (first, other):
        rows = run.certificates.dropna(subset="certified_dice")
        kept = pd.Series(False, index=rows.index)
        for dataset, (images, _) in same.items():
            kept |= (rows["dataset"] == dataset) & rows["image"].isin(images)
        sides.append(rows[kept])
    differences = {}
    for row in compare_numbers(sides[0], sides[1], MODEL, ["certified_dice"]).table.to_dict("records"):
        if row["images"]:
            difference = {name: row[name] for name in DIFFERENCE[1:]}
            differences[tuple(row[name] for name in MODEL)] = {"paired_images": row["images"], **difference}
    return differences


def _in_order(keys: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the keys without duplicates, sorted by first appearance of their names and by ascending noise level."""
    names = pd.DataFrame(list(dict.fromkeys(keys)), columns=MODEL)
    places = names.apply(lambda column: pd.factorize(column)[0]).assign(sigma=names["sigma"])
    return list(names.loc[places.sort_values(MODEL).index].itertuples(index=False, name=None))
