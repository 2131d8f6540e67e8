"""Exact binomial tests by table: with n draws there are only n + 1 p-values."""

import numpy as np
import numpy.typing as npt


def p_value_table(n: int, tau: float) -> npt.NDArray[np.float64]:
    """P(Bin(n, tau) >= k) for k = 0, ..., n: (n + 1,) p-values of the one-sided exact test of H: p <= tau.

    The same numbers as `scipy.stats.binomtest(k, n, tau, alternative="greater").pvalue`.
    """
    from scipy.stats import binom  # takes a second, and many import this module for its neighbours alone

    return np.asarray(binom.sf(np.arange(-1, n), n, tau), dtype=np.float64)
