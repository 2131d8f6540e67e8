"""Error rates under the worst null hypotheses, p = tau, at alpha = 0.05: Monte Carlo.

Seeds are fixed. A test fails if the 95% Clopper-Pearson interval of a rate lies above alpha. If the rate were exactly
alpha, one case in forty would fail.
"""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import binomtest, norm

from segcert.certification.certificate import ABSTAIN, certify
from segcert.certification.median_smoothing import median_interval
from segcert.certification.methods import METHODS
from segcert.certification.radius_map import radius_map
from segcert.votes import Votes

ALPHA, TAU, N0, N, SIDE, RUNS, K = 0.05, 0.75, 5, 60, 16, 1500, 5
DEPENDENCE = ["independent", "smooth", "perfect"]
NULLS = {"all": np.s_[:], "half": np.s_[: SIDE // 2], "tile": np.s_[:4, :4], "last": np.s_[-2:]}


def uniforms(rng, draws, dependence):
    """Draw uniform numbers (draws, SIDE, SIDE), independent between draws, with the given dependence between pixels."""
    if dependence == "perfect":
        return np.broadcast_to(rng.random((draws, 1, 1)), (draws, SIDE, SIDE))
    if dependence == "independent":
        return rng.random((draws, SIDE, SIDE))
    noise = gaussian_filter(rng.normal(size=(draws, SIDE, SIDE)), (0, 3, 3), mode="wrap")
    return norm.cdf(noise / noise.std())


def draw_votes(rng, share, dependence):
    """Draw votes of two classes; class 1 wins with the probability `share` (H, W)."""
    counts = []
    for draws in (N0, N):
        wins = (uniforms(rng, draws, dependence) < share).sum(axis=0)
        counts.append(np.stack([draws - wins, wins]))
    return Votes.from_counts(*counts, sigma=0.5)


def reaches_down_to_alpha(errors, runs=RUNS):
    return binomtest(int(errors), runs).proportion_ci(0.95, "exact").low <= ALPHA


@pytest.mark.parametrize("dependence", DEPENDENCE)
@pytest.mark.parametrize("nulls", NULLS)
def test_every_method_keeps_its_error_rate(nulls, dependence):
    """Errors are any wrong pixel (segcertify, holm), K or more wrong pixels (kfwer), the share of wrong pixels (by)."""
    rng = np.random.default_rng([1, list(NULLS).index(nulls), DEPENDENCE.index(dependence)])
    null = np.zeros((SIDE, SIDE), bool)
    null[NULLS[nulls]] = True
    share = np.where(null, TAU, 0.999)
    wrong = {method: np.zeros(RUNS) for method in METHODS}
    certified = {method: np.zeros(RUNS) for method in METHODS}
    for run in range(RUNS):
        votes = draw_votes(rng, share, dependence)
        for method in METHODS:
            labels = certify(votes, TAU, ALPHA, method, k=K).labels
            wrong[method][run] = ((labels != ABSTAIN) & (null | (labels != 1))).sum()
            certified[method][run] = (labels != ABSTAIN).sum()
    assert reaches_down_to_alpha((wrong["segcertify"] > 0).sum())
    assert reaches_down_to_alpha((wrong["holm"] > 0).sum())
    assert reaches_down_to_alpha((wrong["kfwer"] >= K).sum())
    shares = wrong["by"] / np.maximum(1, certified["by"])
    assert shares.mean() - 1.96 * shares.std() / np.sqrt(RUNS) <= ALPHA
    if nulls != "all":
        for method in METHODS:
            right = certified[method].mean() - wrong[method].mean()
            assert right > 0.9 * (~null).sum(), "the method certifies pixels with power"


def test_a_method_without_correction_would_be_caught():
    """The cases above detect a wrong method, which tests each pixel at alpha."""
    rng = np.random.default_rng(0)
    errors = 0
    for _ in range(200):
        votes = draw_votes(rng, np.full((SIDE, SIDE), TAU), "smooth")
        errors += (certify_single(votes) != ABSTAIN).any()
    assert not reaches_down_to_alpha(errors, 200)


def certify_single(votes):
    counts = votes.estimation[1].ravel()
    single = [binomtest(int(count), votes.n, TAU, alternative="greater").pvalue <= ALPHA for count in counts]
    return np.where(single, 1, ABSTAIN)


@pytest.mark.parametrize("dependence", DEPENDENCE)
@pytest.mark.parametrize("method", ["segcertify", "holm"])
def test_radius_maps_keep_one_error_rate_over_the_whole_grid(method, dependence):
    """The share of each pixel is a tau of the grid, for which its hypothesis is just true."""
    taus = (0.6, 0.7, 0.75, 0.8)
    rng = np.random.default_rng([2, list(METHODS).index(method), DEPENDENCE.index(dependence)])
    errors = 0
    for _ in range(RUNS // 2):
        share = rng.choice([*taus, 0.999], (SIDE, SIDE), p=[0.1, 0.1, 0.1, 0.1, 0.6])
        found = radius_map(draw_votes(rng, share, dependence), taus, ALPHA, method)
        too_far = found.radius > 0.5 * norm.ppf(np.minimum(share, 0.999)) - 1e-9
        errors += (too_far | ((found.labels != 1) & (found.labels != ABSTAIN))).any()
    assert reaches_down_to_alpha(errors, RUNS // 2)


@pytest.mark.parametrize(("n", "tau"), [(50, 0.75), (110, 0.6), (30, 0.8)])
def test_median_intervals_cover(n, tau):
    """Within the radius, the median is between the quantiles 1 - tau and tau. The interval must contain both."""
    rng = np.random.default_rng(n)
    missed = 0
    for _ in range(4000):
        interval = median_interval(rng.random(n), 0.5, tau, ALPHA)
        missed += not (interval.low <= 1 - tau and interval.high >= tau)
    assert reaches_down_to_alpha(missed, 4000)
    assert missed / 4000 > ALPHA / 10, "the interval is not needlessly wide"


def test_median_intervals_hold_for_shifted_images():
    """The median area of pixels above one half changes for the worst shifts of an image, and stays in the interval."""
    sigma, tau, side, rng = 0.5, 0.75, 8, np.random.default_rng(0)
    image = np.full((side, side), 0.55)
    radius = sigma * norm.ppf(tau)

    def areas(x, draws):  # all pixels of a row share their noise, so the area varies widely
        return ((x + sigma * rng.normal(size=(draws, side, side))).mean(axis=2, keepdims=True) > 0.5).sum(axis=(1, 2))

    interval = median_interval(areas(image, 500).astype(float), sigma, tau, 0.001)
    for sign in (-1, 1):
        shifted = image + sign * radius / side  # l2 norm: the radius
        median = np.median(areas(shifted, 20_000))
        assert interval.low <= median <= interval.high
        assert abs(median - np.median(areas(image, 20_000))) >= 1, "the shift changes the median"
