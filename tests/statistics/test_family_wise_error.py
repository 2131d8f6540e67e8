"""Monte Carlo of the family-wise error under the worst nulls: p = tau, at alpha = 0.05.

Seeds are fixed. Each case simulates RUNS images; the test fails when the error rate is above alpha by more than
three standard errors (probability 0.0013 a case if the error rate were exactly alpha).
"""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from segcert.certification.certificate import ABSTAIN, certify
from segcert.votes import Votes

ALPHA, TAU, N0, N, SIDE, RUNS = 0.05, 0.75, 5, 60, 16, 1500
LIMIT = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)


def uniforms(rng, draws, dependence):
    """Uniform numbers (draws, SIDE, SIDE), independent between draws, dependent between pixels as asked."""
    if dependence == "perfect":
        return np.broadcast_to(rng.random((draws, 1, 1)), (draws, SIDE, SIDE))
    if dependence == "independent":
        return rng.random((draws, SIDE, SIDE))
    noise = gaussian_filter(rng.normal(size=(draws, SIDE, SIDE)), (0, 3, 3), mode="wrap")
    return norm.cdf(noise / noise.std())


def null_pixels(nulls):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[{"all": np.s_[:], "half": np.s_[: SIDE // 2], "tile": np.s_[:4, :4]}[nulls]] = True
    return mask


def draw_votes(rng, null, dependence):
    """Class 1 wins with probability tau where the hypothesis is true, nearly always elsewhere."""
    counts = []
    for draws in (N0, N):
        wins = (uniforms(rng, draws, dependence) < np.where(null, TAU, 0.999)).sum(axis=0)
        counts.append(np.stack([draws - wins, wins]))
    return Votes.from_counts(*counts, sigma=0.5)


@pytest.mark.parametrize("dependence", ["independent", "smooth", "perfect"])
@pytest.mark.parametrize("nulls", ["all", "half", "tile"])
def test_segcertify_keeps_the_family_wise_error(nulls, dependence):
    rng = np.random.default_rng([len(nulls), len(dependence)])
    null = null_pixels(nulls)
    errors = certified = 0
    for _ in range(RUNS):
        labels = certify(draw_votes(rng, null, dependence), tau=TAU, alpha=ALPHA).labels
        errors += (labels[null] != ABSTAIN).any()
        certified += (labels[~null] == 1).mean() if (~null).any() else 1
    assert errors / RUNS <= LIMIT
    assert certified / RUNS > 0.9, "a method that certifies nothing proves nothing"
