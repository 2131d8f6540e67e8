"""Exact binomial tests, and corrections for testing every pixel.

With n draws, there are only n + 1 different p-values. So the tests use a table of p-values, and the corrections use the
histogram of the counts.

Each correction returns the smallest count that is rejected, or n + 1 if no count is rejected. `histogram`, (n + 1,),
contains the number of hypotheses (pixels) with each count 0, ..., n. `p_values`, (n + 1,), contains the p-value of each
count and never increases. Pixels with equal counts have equal p-values. They are rejected together or not at all,
because the first of them faces the strictest threshold. All corrections hold under arbitrary dependence between the
hypotheses.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Histogram = npt.NDArray[np.integer]
PValues = npt.NDArray[np.float64]
EULER = 0.57721566490153286


def p_value_table(n: int, tau: float) -> npt.NDArray[np.float64]:
    """Return P(Bin(n, tau) >= k) for k = 0, ..., n: (n + 1,) p-values of the one-sided exact test of H: p <= tau.

    These are the values of `scipy.stats.binomtest(k, n, tau, alternative="greater").pvalue`.
    """
    from scipy.stats import binom  # imported here: it takes a second, and many modules do not need it

    return np.asarray(binom.sf(np.arange(-1, n), n, tau), dtype=np.float64)


def holm_threshold(histogram: Histogram, p_values: PValues, alpha: float) -> int:
    """Apply Holm's step-down procedure (Holm 1979, Scand. J. Stat. 6, 65-70).

    The probability of any false rejection is at most alpha. With r of K hypotheses rejected, the next hypothesis is
    rejected if its p-value is at most alpha / (K - r).
    """
    pixels = int(histogram.sum())
    return _step_down(histogram, lambda count, rejected: p_values[count] <= alpha / (pixels - rejected))


def selection_free_threshold(histogram: Histogram, n: int, tau: float, alpha: float) -> int:
    """Apply Holm's procedure to the class with the most votes, where the same n draws choose the class and test it.

    A pixel is wrongly certified if a class with p <= tau reaches the count c. Let A be the pixel's most probable class,
    and let c > n tau > n / 2, so that at most one class reaches c.

    - If p_A > tau, the wrong classes together have at most Bin(n, 1 - tau) votes. They reach c with probability at most
      delta(c) = P(Bin(n, 1 - tau) >= c).
    - If p_A <= tau, no class has p > tau. The sum of P(Bin(n, p_j) >= c) over the classes is convex in the p_j as long
      as p_j <= (c - 1) / (n - 1). So it is largest at (tau, 1 - tau), where it is P(Bin(n, tau) >= c) + delta(c).

    By Holm's argument, with r of K pixels rejected, the next pixel is rejected if its count satisfies (K - r) P(Bin(n,
    tau) >= c) + K delta(c) <= alpha. The probability of any wrong certificate is at most alpha.
    """
    pixels = int(histogram.sum())
    p_values, deltas = p_value_table(n, tau), p_value_table(n, 1 - tau)

    def rejects(count: int, rejected: int) -> bool:
        convex = count - 1 >= tau * (n - 1)
        return bool(convex and (pixels - rejected) * p_values[count] + pixels * deltas[count] <= alpha)

    return _step_down(histogram, rejects)


def kfwer_threshold(histogram: Histogram, p_values: PValues, alpha: float, k: int) -> int:
    """Apply the step-down procedure of Lehmann and Romano (2005, Ann. Stat. 33, 1138-1154, theorem 2.2).

    The probability of k or more false rejections is at most alpha. The i-th smallest p-value is compared with
    k alpha / K for i <= k, and with k alpha / (K + k - i) for i > k.
    """
    pixels = int(histogram.sum())

    def rejects(count: int, rejected: int) -> bool:
        rank = rejected + 1
        return bool(p_values[count] <= k * alpha / (pixels + k - max(rank, k)))

    return _step_down(histogram, rejects)


def by_threshold(histogram: Histogram, p_values: PValues, alpha: float) -> int:
    """Apply the step-up procedure of Benjamini and Yekutieli (2001, Ann. Stat. 29, 1165-1188, theorem 1.3).

    The expected share of false rejections among the rejections is at most alpha. The procedure finds the largest i for
    which the i-th smallest p-value is at most i alpha / (K H_K), with H_K = 1 + 1/2 + ... + 1/K.
    """
    pixels = int(histogram.sum())
    at_least = np.cumsum(histogram[::-1])[::-1]  # (n + 1,) number of hypotheses with this count or more
    passing = np.flatnonzero((histogram > 0) & (p_values <= at_least * (alpha / (pixels * harmonic(pixels)))))
    return int(passing[0]) if len(passing) else len(histogram)


def harmonic(count: int) -> float:
    """Return 1 + 1/2 + ... + 1/count. Above 100 terms, an asymptotic series is used (error below 1e-15)."""
    if count <= 100:
        return math.fsum(1 / i for i in range(1, count + 1))
    return math.log(count) + EULER + 1 / (2 * count) - 1 / (12 * count**2) + 1 / (120 * count**4)


def _step_down(histogram: Histogram, rejects: Callable[[int, int], bool]) -> int:
    """Reject counts from the highest downwards while `rejects(count, number already rejected)` is true."""
    rejected = 0
    for count in range(len(histogram) - 1, -1, -1):
        if histogram[count]:
            if not rejects(count, rejected):
                return count + 1
            rejected += int(histogram[count])
    return 0
