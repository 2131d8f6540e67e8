"""Bootstrap intervals over images."""

import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

CONFIDENCE = 0.95
DIFFERENCE = ["images", "difference", "difference_low", "difference_high"]  # columns of a paired difference
IN_MEMORY = 10**6  # values that are resampled at a time; the intervals do not depend on it


def mean_interval(values: npt.ArrayLike, resamples: int, seed: int = 0) -> tuple[float, float, float]:
    """Mean of one value per image, and its 95% percentile bootstrap interval over images: (mean, low, high).

    NaN values (a structure absent from truth and prediction) are left out; with no value all three are NaN, with
    one the interval is NaN. The same images are drawn for every sample of one size, as `scipy.stats.bootstrap` draws
    them with `rng=np.random.default_rng(seed)`.
    """
    sample = np.asarray(values, dtype=np.float64)
    sample = sample[~np.isnan(sample)]
    if len(sample) == 0:
        return np.nan, np.nan, np.nan
    if len(sample) == 1:
        return float(sample[0]), np.nan, np.nan
    from scipy.stats import quantile  # takes a second, which tables without intervals need not wait

    draw = _kept if len(sample) * resamples <= IN_MEMORY else _batches
    means = np.concatenate([sample[places].mean(axis=-1) for places in draw(len(sample), resamples, seed)])
    low, high = quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(sample.mean()), float(low), float(high)


def paired_difference(by_image: "pd.Series[float]", resamples: int) -> dict[str, float]:
    """Differences by image as the columns DIFFERENCE: how many are defined, their mean, its 95% paired interval."""
    differences = by_image.dropna().to_numpy()
    return dict(zip(DIFFERENCE, (len(differences), *mean_interval(differences, resamples)), strict=True))


def _batches(images: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the places of the drawn images, (resamples, images) in batches."""
    rng = np.random.default_rng(seed)
    batch = max(1, IN_MEMORY // images)
    for start in range(0, resamples, batch):
        yield rng.integers(0, images, (min(batch, resamples - start), images))


@functools.lru_cache(maxsize=4)
def _kept(images: int, resamples: int, seed: int) -> list[npt.NDArray[np.int64]]:
    """The same, kept from call to call."""
    return list(_batches(images, resamples, seed))
