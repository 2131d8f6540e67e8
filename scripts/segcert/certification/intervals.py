"""Bootstrap intervals over images."""

import warnings

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

CONFIDENCE = 0.95
IN_MEMORY = 10**6  # values that are resampled at a time; the intervals do not depend on it


def mean_interval(values: npt.ArrayLike, resamples: int, seed: int = 0) -> tuple[float, float, float]:
    """Mean of one value per image, and its 95% percentile bootstrap interval over images: (mean, low, high).

    NaN values (a structure absent from truth and prediction) are left out; with no value all three are NaN, with
    one the interval is NaN.
    """
    sample = np.asarray(values, dtype=np.float64)
    sample = sample[~np.isnan(sample)]
    if len(sample) == 0:
        return np.nan, np.nan, np.nan
    if len(sample) == 1:
        return float(sample[0]), np.nan, np.nan
    rng = np.random.default_rng(seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*degenerate.*")
        result = bootstrap(
            (sample,), np.mean, n_resamples=resamples, batch=max(1, IN_MEMORY // len(sample)),
            confidence_level=CONFIDENCE, method="percentile", rng=rng,
        )  # fmt: skip
    return float(sample.mean()), float(result.confidence_interval.low), float(result.confidence_interval.high)
