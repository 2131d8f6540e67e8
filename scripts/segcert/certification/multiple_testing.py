"""Corrections for testing every pixel, on the histogram of the counts instead of on the pixels."""

import numpy as np
import numpy.typing as npt


def holm_threshold(histogram: npt.NDArray[np.integer], p_values: npt.NDArray[np.float64], alpha: float) -> int:
    """The smallest count that Holm's step-down procedure rejects (Holm 1979, Scand. J. Stat. 6, 65-70).

    Parameters
    ----------
    histogram
        (n + 1,) number of hypotheses (pixels) with each count 0, ..., n.
    p_values
        (n + 1,) p-value of each count, not increasing.
    alpha
        Family-wise error rate, under arbitrary dependence between the hypotheses.

    Returns
    -------
    The hypotheses with a count of at least this are rejected; n + 1 means none. Equal counts are equal p-values,
    and the first of them faces the hardest threshold, alpha / (K - r) with r rejected before, so they are
    rejected together or not at all.
    """
    remaining = int(histogram.sum())
    n = len(histogram) - 1
    for count in range(n, -1, -1):
        if histogram[count]:
            if p_values[count] > alpha / remaining:
                return count + 1
            remaining -= int(histogram[count])
    return 0
