"""95% confidence intervals of means over images."""

import numpy as np
import numpy.typing as npt
import pandas as pd

CONFIDENCE = 0.95
FEWEST_GROUPS = 10  # with fewer groups, each image is its own group
# If fewer groups are measured, or at least one but fewer than FEW_FAILED images failed, coverage may be below 90%.
FEW, FEW_FAILED = 30, 5
DIFFERENCE = ["images", "difference", "difference_low", "difference_high"]  # columns that describe a paired difference


def mean_interval(values: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> tuple[float, float, float]:
    """Return (mean, low, high): the mean of one value per image, and its 95% confidence interval.

    The interval is a studentised one, with Student's quantiles. Hall's transformation corrects it for the skewness of
    the sample. The standard error is that of the jackknife, which leaves out one group at a time. If each image is its
    own group, this is the usual standard error of a mean. The degrees of freedom are those of an effective number of
    groups, (sum of sizes)^2 / (sum of squared sizes). The coverage is approximate: docs/explanation/methods.md contains
    a table (benchmarks/coverage.py).

    Parameters
    ----------
    values
        Shape (images,). NaN values (a structure absent from ground truth and prediction) are skipped.
    groups
        Shape (images,): the group (patient, video sequence) of each image. Groups are independent, but images of one
        group may resemble each other. With fewer than FEWEST_GROUPS groups, or without groups, all images count as
        independent. If several of them belong to one group, the interval is then too narrow.

    Notes
    -----
    - Without a value, all three results are NaN. With one value, the interval is NaN. With two or three, it is wide.
    - If all values are equal, the interval has width zero. It then says nothing about how far other images may lie.
    - The interval contains the mean. It may extend beyond the range of possible values.
    - Nothing is random, and the order of the values matters only for rounding.

    References
    ----------
    Hall, On the removal of skewness by transformation, Journal of the Royal Statistical Society B 54 (1992) 221-228.
    Kish, Survey Sampling (1965), for the effective number of groups.
    """
    from scipy.special import stdtrit  # a slow import that tables without intervals do not need

    sample = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(sample)
    sample = sample[defined]
    images = len(sample)
    mean = float(sample.mean()) if images else np.nan
    if images < 2:
        return mean, np.nan, np.nan
    members = np.arange(images)
    if groups is not None:
        codes, names = pd.factorize(np.asarray(groups)[defined])
        members = codes if len(names) >= FEWEST_GROUPS else members
    sizes = np.bincount(members)
    pulls = np.bincount(members, sample - mean) / (images - sizes)  # mean minus the mean without the group
    count = len(pulls)
    scale = np.sqrt(np.mean(pulls**2))
    error = np.sqrt(count - 1) * scale
    skewness = np.mean((pulls / scale) ** 3) if scale else 0.0
    freedom = max(images**2 / np.sum(sizes**2) - 1, 1)
    quantiles = stdtrit(freedom, [(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2])
    # Hall: quantile = t + skewness t^2 / (3 sqrt(count)) + skewness^2 t^3 / (27 count) + bias, solved for t
    bias = skewness / (6 * np.sqrt(count))
    y = quantiles - bias
    root = np.cbrt(1 + skewness * y / np.sqrt(count))
    low, high = mean - error * 3 * y / (1 + root + root**2)
    return mean, float(low), float(high)


def paired_difference(by_image: "pd.Series[float]") -> dict[str, float]:
    """Summarise one difference per image: count without NaN, mean, and the mean's 95% interval.

    The index of the series has a level `group` (see `mean_interval`).
    """
    differences = by_image.dropna()
    interval = mean_interval(differences.to_numpy(), differences.index.get_level_values("group"))
    return dict(zip(DIFFERENCE, (len(differences), *interval), strict=True))
