"""The tables of the report, made from the collected results of a run. TABLES lists the sources of each table."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcert.io.atomic import atomic_file
from segcert.results import table_columns
from segcert.results.claims import claim_table
from segcert.results.confidence import DIFFERENCE, mean_interval, paired_difference

PAIRING = ["dataset", "model", "regime", "denoiser"]
MODEL = [*PAIRING, "sigma"]
DICE = ["certified_dice", "certified_dice_low", "certified_dice_high"]
SETTINGS = ["tau", "alpha", "n0", "looks", "method", "k", "radius", "radius_gray_levels"]
DECISIONS = ("above", "below", "open")
OUTCOMES = ("right", "wrong")  # possible results when a decision is compared with the ground truth
NAMES = ["dataset", "model", "regime", "denoiser", "class_name", "measurement", "unit", "looks"]
METRICS = [column.name for column in table_columns.METRICS]
BASELINES = [("noise", "none"), ("clean", "none"), ("given", "none")]  # in order of preference


class ResultsError(ValueError):
    """Error raised for a results file that is damaged or lacks columns. The message names the file."""


def read_results(
    path: str | Path, names: Sequence[str], numbers: Sequence[str], optional: Sequence[str] = ()
) -> pd.DataFrame:
    """Read a parquet file of results.

    Parameters
    ----------
    names, numbers
        Names of the required text columns and of the required numeric columns.
    optional
        Names of numeric columns that may be missing.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ResultsError
        If the file is damaged, lacks a column, or has a column of the wrong type.
    """
    try:
        results = pd.read_parquet(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # pyarrow raises many kinds of errors
        raise ResultsError(f"{path}: cannot be read ({error}). Run `snakemake --force {path}`") from error
    numbers = [*numbers, *(name for name in optional if name in results.columns)]
    for name in (*names, *numbers):
        if name not in results.columns:
            raise ResultsError(f"{path}: found no column `{name}`. Run `snakemake --force {path}`")
        column = results[name]
        fits = column.dtype.kind in "biuf" if name in numbers else all(type(each) is str for each in column)
        if not fits:
            kind = "numbers" if name in numbers else "text"
            raise ResultsError(
                f"{path}: `{name}`: found {column.dtype}; expected {kind} in every row. Run `snakemake --force {path}`"
            )
    return results


def read_table(path: str | Path | TextIO) -> pd.DataFrame:
    """Read one of the report's tables from its CSV file.

    Only empty cells are read as missing values, and names are read as text. Therefore, a class may have the name
    `null`, and a data set may have the name `007`. Without planned looks, `looks` is an empty text.
    """
    names = dict.fromkeys(NAMES, "str")
    return pd.read_csv(path, dtype=names, keep_default_na=False, na_values=[""]).fillna({"looks": ""})


def read_tables(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Read the rows of several CSV files into a single table, which is empty if there are no files."""
    frames = [read_table(path) for path in paths]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write one of the report's tables to its CSV file."""
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as dictionaries with the column names as keys."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def main_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a table with a row per data set, model, regime, denoiser and sigma.

    Metrics are averaged over the classes of an image, and then over images. The columns <metric>_low and <metric>_high
    contain the 95% interval of the mean (see `mean_interval`). `undefined` is the number of images on which the
    certified Dice of at least one class is undefined. For the other counts, see `_means`. `n` is a mean over images,
    because with planned looks, images may have different numbers of draws.
    """
    per_image = _per_image(rows, [*MODEL, *SETTINGS, "n"], _available_metrics(rows))
    return _summarise(per_image, MODEL)


def pairing_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Compare the certified Dice of each pairing with that of a baseline. Return a row per model, sigma and pairing.

    The difference is the certified Dice of the pairing minus that of the baseline on the same images, averaged over
    classes and then over images. The 95% interval is that of the mean difference. The baseline is the noise-trained
    model without a denoiser (SegCertify). If a run lacks this model, the baseline is the model trained on clean images
    or the pretrained model, also without a denoiser. The column `baseline` contains the regime of the baseline.
    """
    per_image = rows.groupby([*MODEL, "group", "image"], sort=False)["certified_dice"].mean()
    compared = []
    for (dataset, model, sigma), group in per_image.groupby(["dataset", "model", "sigma"], sort=False):
        by_pairing = {
            pairing: values.droplevel([*MODEL]) for pairing, values in group.groupby(["regime", "denoiser"], sort=False)
        }
        baseline = next((pairing for pairing in BASELINES if pairing in by_pairing), None)
        for pairing, values in by_pairing.items():
            if baseline is None or pairing == baseline:
                continue
            difference = paired_difference(values - by_pairing[baseline])
            compared.append((dataset, model, *pairing, sigma, baseline[0], *difference.values()))
    return pd.DataFrame(compared, columns=[*MODEL, "baseline", *DIFFERENCE])


def error_bars(rows: pd.DataFrame, metric: str) -> npt.NDArray[Any]:
    """Return the distances of a metric from the ends of its 95% interval, shape (2, rows), or 0 if it is undefined."""
    low, high = rows[metric] - rows[f"{metric}_low"], rows[f"{metric}_high"] - rows[metric]
    bars: npt.NDArray[Any] = np.nan_to_num([low, high]).clip(min=0)
    return bars


def denoiser_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the PSNR and SSIM of denoised validation images for all data sets (segcert.smoothing.denoiser_scores)."""
    if scores.empty:
        return pd.DataFrame(columns=["dataset", "sigma", "method", "images", "psnr", "ssim"])
    return scores


def class_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the rows of `main_table` for each foreground class separately, and with areas.

    Areas are means over images, in pixels. `area` is the area in the ground truth, `area_low` is the number of
    certified pixels, and `area_high` also includes the pixels that abstain. `undefined` is the number of images on
    which the certified Dice of the class is undefined.
    """
    counted = rows.assign(undefined=rows["certified_dice"].isna())
    table = _summarise(counted, [*MODEL, "class_id", "class_name"])
    areas = rows.groupby([*MODEL, "class_id", "class_name"], sort=False, as_index=False)[
        ["area", "area_low", "area_high"]
    ].mean()
    return table.merge(areas, on=[*MODEL, "class_id", "class_name"])


def measurement_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a table with a row per model, sigma and measurement.

    The values and the ends of the certified intervals are averaged over images. An interval has an infinite end if the
    measurement is undefined on too many draws. `unbounded` is the number of such images, and means are over the finite
    ends. `width` is the mean of (high - low) / |median|. `above`, `below` and `open` are numbers of images with each
    decision: the certified interval is above the threshold, is below it, or contains it. `right` and `wrong` are the
    numbers of decisions (`above` or `below`) that agree with the ground truth or contradict it. Without a threshold,
    all five numbers are zero.
    """
    keys = [*MODEL, "measurement", "unit"]
    finite = rows.replace([np.inf, -np.inf], np.nan)
    finite["unbounded"] = ~np.isfinite(rows["low"]) | ~np.isfinite(rows["high"])
    finite["width"] = (finite["high"] - finite["low"]) / finite["median"].abs().replace(0, np.nan)
    for decision in DECISIONS:
        finite[decision] = finite["decision"] == decision
    for outcome in OUTCOMES:
        finite[outcome] = finite["against_truth"] == outcome
    grouped = finite.groupby(keys, sort=False, as_index=False)
    means = grouped[["radius", "alpha", "truth", "clean", "low", "median", "high", "width", "threshold"]].mean()
    counts = grouped[["unbounded", *DECISIONS, *OUTCOMES]].sum()
    return means.merge(counts, on=keys).merge(grouped["image"].nunique(), on=keys)


def radius_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a table with a row per data set, model, regime, denoiser, sigma and radius.

    The metrics are certified Dice with the 95% interval of its mean, worst-case Dice and abstention. They are averaged
    over images and classes. A pixel abstains if its certified radius is smaller than the radius of the row. A single
    alpha covers all pixels and radii of an image. `method` is the method of the radius map.
    """
    keys = [*MODEL, "tau", "alpha", "method", "radius", "radius_gray_levels"]
    metrics = ["certified_dice", "worst_case_dice", "abstain"]
    return _means(_per_image(rows, keys, metrics), keys, metrics, bare=metrics[1:])


def attack_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a table of attacks, with a row per model, sigma and multiple of the radius.

    For the columns, see segcert.smoothing.attacked_images.AttackedImage. The numbers of pixels, draws and refuted
    images are sums over the attacked images, and the shares and the strength are means. `norm` is the largest norm.
    `power` is the probability that the certificate of at least one image would have been refuted.
    """
    summed, averaged = ("certified", "changed", "draws", "refuted"), ("clean_share", "share", "least_share", "strength")
    if rows.empty:
        return pd.DataFrame(columns=[*MODEL, "factor", "images", "norm", *summed, *averaged, "power"])
    grouped = rows.assign(missed=1 - rows["power"]).groupby([*MODEL, "factor"], sort=False, as_index=False)
    table = grouped.agg(
        images=("image", "nunique"),
        norm=("norm", "max"),
        **{name: (name, "sum") for name in summed},
        **{name: (name, "mean") for name in averaged},
        missed=("missed", "prod"),
    )
    return table.assign(power=1 - table.pop("missed"))


def _summarise(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the means for each combination of `keys` and certificate settings."""
    return _means(rows, [*keys, *SETTINGS], _available_metrics(rows))


def _per_image(rows: pd.DataFrame, keys: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """Return a row per image with means over classes. `undefined` is True if a class has no certified Dice."""
    counted = rows.assign(undefined=rows["certified_dice"].isna())
    grouped = counted.groupby([*keys, "group", "image"], sort=False, as_index=False, dropna=False)
    return grouped.agg(dict.fromkeys(numbers, "mean") | {"undefined": "any"})


def _available_metrics(rows: pd.DataFrame) -> list[str]:
    """Return the metrics that are columns of `rows`. Results of older versions of segcert may lack some metrics."""
    return [metric for metric in METRICS if metric in rows]


def _means(rows: pd.DataFrame, keys: Sequence[str], metrics: Sequence[str], bare: Iterable[str] = ()) -> pd.DataFrame:
    """Return a row per combination of `keys`, with counts, and with the means of `metrics` and their intervals.

    Metrics in `bare` have no interval. A mean is over the images on which the metric is defined. Metrics and intervals
    are in [0, 1]. `images` and `groups` are the numbers of images and of groups of images. `undefined` is the number of
    rows in which this column is true. `failed` is the number of rows with a certified Dice below half of the median.
    """
    summaries = []
    for values, group in rows.groupby([*keys], sort=False, dropna=False):
        summary = dict(zip(keys, values, strict=True))
        if "n" in group:
            summary["n"] = group["n"].mean()
        summary |= {"images": group["image"].nunique(), "groups": group["group"].nunique()}
        summary["undefined"] = int(group["undefined"].sum())
        summary["failed"] = int((group["certified_dice"] < group["certified_dice"].median() / 2).sum())
        for metric in metrics:
            if metric in bare:
                summary[metric] = group[metric].mean()
                continue
            mean, *ends = mean_interval(group[metric].to_numpy(), group["group"])
            low, high = np.clip(ends, 0, 1).tolist()
            summary |= {metric: mean, f"{metric}_low": low, f"{metric}_high": high}
        summaries.append(summary)
    table = pd.DataFrame(summaries)
    if "n" in table:
        table["n"] = table["n"].convert_dtypes()  # integers, unless sampling ended at different looks
    return table


def cost_table(main: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Return a table of certified Dice and its cost, with a row per data set, model, regime, denoiser and sigma.

    The cost consists of the number of parameters, the network evaluations and the GFLOP per draw, and the GFLOP per
    image (n0 + n draws).
    """
    per_draw = costs.rename(columns={"gflop": "gflop_per_draw"})
    table = main[[*PAIRING, "sigma", *DICE, "n0", "n"]].merge(per_draw, on=PAIRING, validate="many_to_one")
    return table.assign(gflop_per_image=(table["n0"] + table["n"]) * table["gflop_per_draw"])


class Recipe(NamedTuple):
    """A table in the report, given by the function that makes it and by its sources.

    The name of a source is either a kind of results (segcert.results.kinds) or one of three others. `scores` contains
    the denoiser scores of all data sets, `costs` contains the network costs of all data sets, and `main` is the main
    table, read from its CSV file.
    """

    make: Callable[..., pd.DataFrame]
    sources: tuple[str, ...]


TABLES = {
    "main": Recipe(main_table, ("metrics",)),
    "classes": Recipe(class_table, ("metrics",)),
    "pairings": Recipe(pairing_table, ("metrics",)),
    "measurements": Recipe(measurement_table, ("intervals",)),
    "attacks": Recipe(attack_table, ("attacks",)),
    "denoisers": Recipe(denoiser_table, ("scores",)),
    "budget": Recipe(pd.DataFrame, ("budget",)),
    "radii": Recipe(radius_table, ("radii",)),
    "claims": Recipe(claim_table, ("metrics",)),
    "costs": Recipe(cost_table, ("main", "costs")),  # made after the main table
}


def make_table(name: str, read: Callable[[str], pd.DataFrame]) -> pd.DataFrame:
    """Make one of the tables in TABLES. `read` is a function that returns the rows of a source."""
    recipe = TABLES[name]
    return recipe.make(*(read(source) for source in recipe.sources))
