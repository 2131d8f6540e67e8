"""95% confidence intervals for means over images."""

import numpy as np
import numpy.typing as npt
import pandas as pd

CONFIDENCE = 0.95
FEWEST_GROUPS = 10  # with fewer groups, each image is treated as a separate group
# With fewer than FEW groups, or with 1 to FEW_FAILED - 1 failed images, the coverage may be below 90%.
FEW, FEW_FAILED = 30, 5
DIFFERENCE = ["images", "difference", "difference_low", "difference_high"]  # columns that describe a paired difference


def mean_interval(values: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> tuple[float, float, float]:
    """Compute the mean of one value per image, with a 95% confidence interval. Return (mean, low, high).

    The interval is a studentised interval with quantiles of Student's t distribution, and it is corrected for the
    skewness of the sample by Hall's transformation. The standard error is the jackknife estimate, for which one group
    at a time is left out. If each image is its own group, this estimate equals the usual standard error of a mean. The
    number of degrees of freedom is the effective number of groups, (sum of sizes)^2 / (sum of squared sizes), minus 1.
    The coverage is approximate: see the table in docs/explanation/methods.md, which is computed by
    benchmarks/coverage.py.

    Parameters
    ----------
    values
        Array of shape (images,). NaN values are skipped. A value is NaN, for example, if a structure is absent from
        both the ground truth and the prediction.
    groups
        Array of shape (images,): the group of each image, such as a patient or a video sequence. Groups are
        independent, but images of the same group may resemble each other. With fewer than FEWEST_GROUPS groups, or
        without `groups`, all images are treated as independent. In this case, the interval is too narrow if several
        images belong to the same group.

    Notes
    -----
    - Without any values, all three results are NaN. With one value, both ends of the interval are NaN. With two or
      three values, the interval is wide.
    - If all values are equal, the interval has width zero, and gives no information about other images.
    - The interval contains the mean. It may extend beyond the range of possible values.
    - The result is deterministic. Except for rounding, it does not depend on the order of the values.

    References
    ----------
    Hall, On the removal of skewness by transformation, Journal of the Royal Statistical Society B 54 (1992) 221-228.
    Kish, Survey Sampling (1965), for the effective number of groups.
    """
    from scipy.special import stdtrit  # a slow import, and not needed for tables without intervals

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
    pulls = np.bincount(members, sample - mean) / (images - sizes)  # the mean minus the mean without the group
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
    """Return the number of images, the mean difference and its 95% interval, for one difference per image.

    Images with a difference of NaN are skipped. The index of the series has a level `group` (see `mean_interval`).
    """
    differences = by_image.dropna()
    interval = mean_interval(differences.to_numpy(), differences.index.get_level_values("group"))
    return dict(zip(DIFFERENCE, (len(differences), *interval), strict=True))
