"""Which numbers differ between two runs, and by how much: from their certificates and intervals."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from segcert.provenance.lineage import Lineage, LineageError
from segcert.results.bootstrap import mean_interval
from segcert.results.tables import MODEL, ResultsError, read_results

METRICS = ["dice", "certified_dice", "certified_iou", "worst_case_dice", "abstain", "radius"]
ENDS = ["low", "median", "high"]
RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Numbers:
    """Numbers of two runs, compared.

    Attributes
    ----------
    table
        A row per key and number, with the columns number, a and b (means over the images of each run), images (that
        both have), moved (of these, in how many the number differs), difference (mean of b - a over them),
        difference_low and difference_high (95%, paired bootstrap over images).
    only_a, only_b
        The keys that only one run has.
    """

    table: pd.DataFrame
    only_a: pd.DataFrame
    only_b: pd.DataFrame

    @property
    def moved(self) -> pd.DataFrame:
        """The rows of the table that differ."""
        return self.table[(self.table["moved"] > 0) | (self.table["images"] == 0) | _differ(self.table)]

    @property
    def identical(self) -> bool:
        """Whether both runs have the same rows, and the same numbers in all of them."""
        return self.moved.empty and self.only_a.empty and self.only_b.empty


def moved_metrics(a: Lineage, b: Lineage) -> Numbers:
    """Metrics by data set, model, regime, denoiser and sigma: means over images of the mean over classes.

    Raises LineageError where a run has no certificates.
    """
    return compare_numbers(_read(a, "certificates"), _read(b, "certificates"), MODEL, METRICS)


def moved_intervals(a: Lineage, b: Lineage) -> Numbers:
    """Certified intervals by data set, model, regime, denoiser, sigma and measurement, in the measurement's unit.

    Open ends count as missing, and are left out of the means. Raises LineageError where a run has no intervals.
    """
    rows_a, rows_b = (_read(run, "intervals").replace([np.inf, -np.inf], np.nan) for run in (a, b))
    return compare_numbers(rows_a, rows_b, [*MODEL, "measurement"], ENDS)


def compare_numbers(a: pd.DataFrame, b: pd.DataFrame, keys: Sequence[str], numbers: Sequence[str]) -> Numbers:
    """Compare the columns `numbers` by `keys`, image by image (column image); several rows of an image are averaged."""
    means = [rows.groupby([*keys, "image"], sort=False)[[*numbers]].mean() for rows in (a, b)]
    groups = [dict(list(each.groupby(level=[*keys], sort=False))) for each in means]
    shared = [key for key in groups[1] if key in groups[0]]
    rows = []
    for key in shared:
        images_a, images_b = (group[key].droplevel([*keys]) for group in groups)
        common = images_a.index.intersection(images_b.index)
        rows += [(*key, name, *_compare(images_a[name], images_b[name], common)) for name in numbers]
    columns = [*keys, "number", "a", "b", "images", "moved", "difference", "difference_low", "difference_high"]
    only = [[key for key in these if key not in those] for these, those in (groups, groups[::-1])]
    return Numbers(pd.DataFrame(rows, columns=columns), *(pd.DataFrame(each, columns=[*keys]) for each in only))


def _compare(a: "pd.Series[float]", b: "pd.Series[float]", common: pd.Index) -> tuple[float, ...]:
    old, new = a[common].to_numpy(), b[common].to_numpy()
    moved = int(((old != new) & ~(np.isnan(old) & np.isnan(new))).sum())
    interval = mean_interval(new - old, RESAMPLES) if moved else (0.0, 0.0, 0.0) if len(common) else (np.nan,) * 3
    return float(a.mean()), float(b.mean()), len(common), moved, *interval


def _differ(table: pd.DataFrame) -> "pd.Series[bool]":
    return (table["a"] != table["b"]) & ~(table["a"].isna() & table["b"].isna())


def _read(lineage: Lineage, name: str) -> pd.DataFrame:
    path = Path(lineage.root, "results", lineage.run, f"{name}.parquet")
    if not path.exists():
        raise LineageError(f"{path}: is not there; let snakemake finish the run {lineage.run}")
    numbers = ["sigma", *(METRICS if name == "certificates" else ENDS)]
    try:
        return read_results(path, [key for key in (*MODEL, "image") if key != "sigma"], numbers)
    except ResultsError as error:
        raise LineageError(str(error)) from error
