"""The tables of the report, from certificates.parquet."""

from collections.abc import Sequence

import pandas as pd

from segcert.certification.intervals import mean_interval

MODEL = ["dataset", "model", "regime", "denoiser", "sigma"]
SETTINGS = ["tau", "alpha", "n0", "n", "method", "radius", "radius_gray_levels"]
METRICS = ["dice", "iou", "certified_dice", "certified_iou", "worst_case_dice", "abstain"]


def main_table(rows: pd.DataFrame, resamples: int) -> pd.DataFrame:
    """A row per data set, model, regime, denoiser and sigma: means over images of the mean over classes.

    Each metric has its 95% bootstrap interval over images in the columns <metric>_low and <metric>_high.
    """
    per_image = rows.groupby([*MODEL, *SETTINGS, "image"], sort=False, as_index=False)[METRICS].mean()
    return _summarise(per_image, MODEL, resamples)


def class_table(rows: pd.DataFrame, resamples: int) -> pd.DataFrame:
    """The same for each foreground class alone, with the certified interval of its area (pixels, means over images)."""
    table = _summarise(rows, [*MODEL, "class_id", "class_name"], resamples)
    areas = rows.groupby([*MODEL, "class_id", "class_name"], sort=False, as_index=False)[
        ["area", "area_low", "area_high"]
    ].mean()
    return table.merge(areas, on=[*MODEL, "class_id", "class_name"])


def _summarise(rows: pd.DataFrame, keys: Sequence[str], resamples: int) -> pd.DataFrame:
    summaries = []
    for values, group in rows.groupby([*keys, *SETTINGS], sort=False):
        summary = dict(zip([*keys, *SETTINGS], values, strict=True)) | {"images": group["image"].nunique()}
        for metric in METRICS:
            mean, low, high = mean_interval(group[metric].to_numpy(), resamples)
            summary |= {metric: mean, f"{metric}_low": low, f"{metric}_high": high}
        summaries.append(summary)
    return pd.DataFrame(summaries)
