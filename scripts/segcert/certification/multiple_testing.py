"""Exact binomial tests of all pixels of an image, and corrections for multiple testing.

With n draws, the count of a pixel is one of 0, ..., n, so there are only n + 1 different p-values. Therefore, the tests
use a table of p-values, and the corrections use a histogram of the counts.

Each correction returns the smallest count at which a pixel's hypothesis is rejected, or n + 1 if none is rejected.
`histogram`, of shape (n + 1,), contains the number of pixels with each count. `p_values`, of shape (n + 1,), contains
the p-value of each count and is non-increasing. Pixels with equal counts have equal p-values. Their hypotheses are all
rejected or all retained, because the first hypothesis among them has the strictest threshold. All corrections are valid
under arbitrary dependence between the hypotheses.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Histogram = npt.NDArray[np.integer]
PValues = npt.NDArray[np.float64]
EULER = 0.57721566490153286


def p_value_table(n: int, tau: float) -> npt.NDArray[np.float64]:
    """Return P(Bin(n, tau) >= k) for k = 0, ..., n: the n + 1 p-values of the exact one-sided test of p <= tau.

    These are the values of `scipy.stats.binomtest(k, n, tau, alternative="greater").pvalue`.
    """
    from scipy.stats import binom  # imported here, because the import takes a second

    return np.asarray(binom.sf(np.arange(-1, n), n, tau), dtype=np.float64)


def holm_threshold(histogram: Histogram, p_values: PValues, alpha: float) -> int:
    """Return the smallest count at which Holm's step-down procedure rejects (Holm 1979, Scand. J. Stat. 6, 65-70).

    The probability of any false rejection is at most alpha. After r of K hypotheses are rejected, the next hypothesis
    is rejected if its p-value is at most alpha / (K - r).
    """
    pixels = int(histogram.sum())
    return _step_down(histogram, lambda count, rejected: p_values[count] <= alpha / (pixels - rejected))


def selection_free_threshold(histogram: Histogram, n: int, tau: float, alpha: float) -> int:
    """Return the smallest count at which Holm's procedure rejects if the same draws choose and test the class.

    Let p_j be the probability of class j at a pixel, and A the most probable class. With the threshold c, the pixel is
    certified wrongly if a class with p_j <= tau has c or more votes. Let c > n tau > n / 2, so that at most one class
    has c or more votes.

    - If p_A > tau, the number of votes for all other classes is stochastically at most Bin(n, 1 - tau). It reaches c
      with probability at most delta(c) = P(Bin(n, 1 - tau) >= c).
    - If p_A <= tau, no class has p_j > tau. The sum of P(Bin(n, p_j) >= c) over the classes is convex in the p_j as
      long as p_j <= (c - 1) / (n - 1). It is largest for two classes with probabilities tau and 1 - tau, where it is
      P(Bin(n, tau) >= c) + delta(c).

    Once r of K pixels are certified, the next pixel is certified if its count c satisfies (K - r) P(Bin(n, tau) >= c) +
    K delta(c) <= alpha. By Holm's argument, the probability of any wrong certificate is at most alpha.
    """
    pixels = int(histogram.sum())
    p_values, deltas = p_value_table(n, tau), p_value_table(n, 1 - tau)

    def rejects(count: int, rejected: int) -> bool:
        convex = count - 1 >= tau * (n - 1)
        return bool(convex and (pixels - rejected) * p_values[count] + pixels * deltas[count] <= alpha)

    return _step_down(histogram, rejects)


def kfwer_threshold(histogram: Histogram, p_values: PValues, alpha: float, k: int) -> int:
    """Return the smallest count at which the step-down procedure of Lehmann and Romano (2005) rejects.

    The probability of k or more false rejections is at most alpha (Ann. Stat. 33, 1138-1154, theorem 2.2). Of K
    p-values, the i-th smallest is compared with k alpha / K if i <= k, else with k alpha / (K + k - i).
    """
    pixels = int(histogram.sum())

    def rejects(count: int, rejected: int) -> bool:
        rank = rejected + 1
        return bool(p_values[count] <= k * alpha / (pixels + k - max(rank, k)))

    return _step_down(histogram, rejects)


def by_threshold(histogram: Histogram, p_values: PValues, alpha: float) -> int:
    """Return the smallest count at which the step-up procedure of Benjamini and Yekutieli (2001) rejects.

    The expected share of false rejections among all rejections is at most alpha (Ann. Stat. 29, 1165-1188, theorem
    1.3). The procedure finds the largest i for which the i-th smallest of K p-values is at most
    i alpha / (K H_K), where H_K = 1 + 1/2 + ... + 1/K.
    """
    pixels = int(histogram.sum())
    at_least = np.cumsum(histogram[::-1])[::-1]  # (n + 1,): number of hypotheses with at least each count
    passing = np.flatnonzero((histogram > 0) & (p_values <= at_least * (alpha / (pixels * harmonic(pixels)))))
    return int(passing[0]) if len(passing) else len(histogram)


def harmonic(count: int) -> float:
    """Return 1 + 1/2 + ... + 1/count. For more than 100 terms, an asymptotic series is used (error below 1e-15)."""
    if count <= 100:
        return math.fsum(1 / i for i in range(1, count + 1))
    return math.log(count) + EULER + 1 / (2 * count) - 1 / (12 * count**2) + 1 / (120 * count**4)


def _step_down(histogram: Histogram, rejects: Callable[[int, int], bool]) -> int:
    """Return the smallest count that a step-down procedure rejects.

    The counts are tested in descending order until `rejects(count, number of rejections so far)` is false.
    """
    rejected = 0
    for count in range(len(histogram) - 1, -1, -1):
        if histogram[count]:
            if not rejects(count, rejected):
                return count + 1
            rejected += int(histogram[count])
    return 0
