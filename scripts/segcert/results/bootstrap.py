"""Bootstrap intervals over images."""

import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

CONFIDENCE = 0.95
DIFFERENCE = ["images", "difference", "difference_low", "difference_high"]  # columns that describe a paired difference
IN_MEMORY = 10**6  # number of values resampled at a time, which does not affect the intervals


def mean_interval(values: npt.ArrayLike, resamples: int, seed: int = 0) -> tuple[float, float, float]:
    """Return (mean, low, high): the mean of one value per image, and its 95% percentile bootstrap interval.

    NaN values (a structure absent from ground truth and prediction) are skipped. If no value remains, all three results
    are NaN; if one value remains, the interval is NaN. All samples of the same size use the same resamples, which
    are those of `scipy.stats.bootstrap` with `rng=np.random.default_rng(seed)`.
    """
    sample = np.asarray(values, dtype=np.float64)
    sample = sample[~np.isnan(sample)]
    if len(sample) == 0:
        return np.nan, np.nan, np.nan
    if len(sample) == 1:
        return float(sample[0]), np.nan, np.nan
    from scipy.stats import quantile  # a slow import that tables without intervals do not need

    draw = _kept if len(sample) * resamples <= IN_MEMORY else _batches
    means = np.concatenate([sample[places].mean(axis=-1) for places in draw(len(sample), resamples, seed)])
    low, high = quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(sample.mean()), float(low), float(high)


def paired_difference(by_image: "pd.Series[float]", resamples: int) -> dict[str, float]:
    """Summarise one difference per image: count without NaN, mean, and the mean's 95% bootstrap interval."""
    differences = by_image.dropna().to_numpy()
    return dict(zip(DIFFERENCE, (len(differences), *mean_interval(differences, resamples)), strict=True))


def _batches(images: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield index arrays of shape (batch, images), one per batch of resamples, that select each resample's images."""
    rng = np.random.default_rng(seed)
    batch = max(1, IN_MEMORY // images)
    for start in range(0, resamples, batch):
        yield rng.integers(0, images, (min(batch, resamples - start), images))


@functools.lru_cache(maxsize=4)
def _kept(images: int, resamples: int, seed: int) -> list[npt.NDArray[np.int64]]:
    """Return all arrays of `_batches` as a list, which is cached between calls."""
    return list(_batches(images, resamples, seed))
