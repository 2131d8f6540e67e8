"""Corrections other than Holm's, compared with statsmodels, and with their definitions pixel by pixel."""

import math

import numpy as np
import pytest
from scipy.stats import binom, multinomial
from statsmodels.stats.multitest import multipletests

from segcert.certification.certificate import ABSTAIN, certify
from segcert.certification.methods import METHODS, CertificationError, smallest_n
from segcert.certification.multiple_testing import (
    by_threshold,
    harmonic,
    kfwer_threshold,
    p_value_table,
    selection_free_threshold,
)
from segcert.votes import Votes


def problems(count, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        n = int(rng.integers(20, 400))
        tau, alpha = rng.uniform(0.51, 0.95), 10 ** rng.uniform(-4, -0.4)
        share = rng.choice([tau, 1.0, rng.uniform(0.4, 1)], int(rng.integers(1, 60)))
        yield rng, rng.binomial(n, share), n, tau, alpha


def test_no_method_tests_a_pixel_at_a_level_above_alpha():
    """Testing every pixel at alpha is therefore an upper bound on what each method certifies."""
    for method in METHODS.values():
        levels = [method.level(50, certified, 0.01, 7) for certified in range(50)]
        assert max(levels) <= 0.01 * (1 + 1e-12)


@pytest.mark.usefixtures("no_collection")
def test_by_equals_benjamini_yekutieli_of_statsmodels():
    rejections = 0
    for _, counts, n, tau, alpha in problems(600):
        p_values = p_value_table(n, tau)
        expected = multipletests(p_values[counts], alpha, method="fdr_by")[0]
        found = counts >= by_threshold(np.bincount(counts, minlength=n + 1), p_values, alpha)
        assert np.array_equal(found, expected)
        rejections += expected.any()
    assert rejections > 100


def test_kfwer_is_the_step_down_of_lehmann_and_romano():
    rejections = 0
    for rng, counts, n, tau, alpha in problems(600, seed=1):
        k = int(rng.integers(1, len(counts) + 1))
        p_values = p_value_table(n, tau)
        order = np.argsort(-counts, kind="stable")
        expected = np.zeros(len(counts), bool)
        for rank, pixel in enumerate(order, start=1):
            level = k * alpha / len(counts) if rank <= k else k * alpha / (len(counts) + k - rank)
            if p_values[counts[pixel]] > level:
                break
            expected[pixel] = True
        found = counts >= kfwer_threshold(np.bincount(counts, minlength=n + 1), p_values, alpha, k)
        assert np.array_equal(found, expected)
        rejections += expected.any()
    assert rejections > 100


def test_selection_free_holm_pixel_by_pixel():
    rejections = 0
    for _, counts, n, tau, alpha in problems(600, seed=2):
        p_values, deltas = (binom.sf(np.arange(-1, n), n, p) for p in (tau, 1 - tau))
        expected = np.zeros(len(counts), bool)
        for rejected, pixel in enumerate(np.argsort(-counts, kind="stable")):
            c, pixels = counts[pixel], len(counts)
            if (pixels - rejected) * p_values[c] + pixels * deltas[c] > alpha or c - 1 < tau * (n - 1):
                break
            expected[pixel] = True
        found = counts >= selection_free_threshold(np.bincount(counts, minlength=n + 1), n, tau, alpha)
        assert np.array_equal(found, expected)
        rejections += expected.any()
    assert rejections > 100


@pytest.mark.parametrize("tau", [0.55, 0.75, 0.9])
@pytest.mark.parametrize("n", [7, 30])
def test_a_single_pixel_is_wrong_with_the_bounded_probability(n, tau):
    """Enumerate all outcomes of three classes: P(a class with p <= tau reaches c) <= P(c; tau) + P(c; 1 - tau)."""
    outcomes = [(a, b, n - a - b) for a in range(n + 1) for b in range(n + 1 - a)]
    bound = binom.sf(np.arange(-1, n), n, tau) + binom.sf(np.arange(-1, n), n, 1 - tau)
    grid = [(p, q, 1 - p - q) for p in np.linspace(0, 1, 21) for q in np.linspace(0, 1 - p, 11)]
    for case in [*grid, (tau, 1 - tau, 0.0), (tau, (1 - tau) / 2, (1 - tau) / 2)]:
        shares = np.clip(case, 0, 1)
        probability = multinomial.pmf(outcomes, n, shares / shares.sum())
        for c in range(math.ceil(tau * (n - 1) + 1), n + 1):
            wrong = [any(x >= c and s <= tau + 1e-12 for x, s in zip(o, shares, strict=True)) for o in outcomes]
            assert probability[wrong].sum() <= bound[c] + 1e-12


def test_holm_uses_all_draws_and_needs_no_selection():
    votes = Votes.from_counts(np.array([[[0]], [[10]]]), np.array([[[100]], [[0]]]), sigma=0.5)
    assert certify(votes, method="segcertify").labels[0, 0] == ABSTAIN
    assert certify(votes, method="holm").labels[0, 0] == 0
    nothing_selected = Votes.from_counts(np.zeros((2, 1, 1), int), np.array([[[100]], [[0]]]), sigma=0.5)
    assert certify(nothing_selected, method="holm").labels[0, 0] == 0
    with pytest.raises(CertificationError, match="no selection draws"):
        certify(nothing_selected)


@pytest.mark.parametrize(
    ("method", "pixels", "tau", "alpha"),
    [
        (method, *problem)
        for method in METHODS
        for problem in ((1, 0.6, 0.3), (4096, 0.75, 0.001), (262_144, 0.85, 0.001))
        if not (method == "kfwer" and problem[0] == 1)  # k must be below the number of pixels
    ],
)
def test_the_smallest_n_cannot_be_reduced(method, pixels, tau, alpha):
    """Unanimous votes are certified with the smallest n, and refused with one draw less."""
    least = smallest_n(pixels, tau, alpha, method, n0=10, k=10)
    for n, feasible in ((least, True), (least - 1, False)):
        if n < 1:
            continue
        counts = np.zeros((2, 1, pixels), np.uint16)
        counts[1] = 10
        estimation = counts // 10 * np.uint16(n)
        votes = Votes(counts, estimation, 0.5)
        if feasible:
            assert (certify(votes, tau, alpha, method, k=10).labels == 1).all()
        else:
            with pytest.raises(CertificationError, match=f"Write `n: {least}`"):
                certify(votes, tau, alpha, method, k=10)


def test_weaker_methods_certify_more_and_state_their_guarantee():
    rng = np.random.default_rng(0)
    wins = rng.binomial(100, rng.choice([0.8, 0.9, 0.99], (40, 40)))
    estimation = np.stack([100 - wins, wins])
    votes = Votes.from_counts(np.stack([0 * wins, 0 * wins + 10]), estimation, sigma=0.5)
    certified = {method: 1 - certify(votes, method=method, alpha=0.01).abstain for method in METHODS}
    assert certified["segcertify"] < certified["kfwer"] < certified["by"]
    for method in METHODS:
        certificate = certify(votes, method=method, alpha=0.01, k=7)
        assert ("no pixel" in certificate.guarantee) == (not METHODS[method].weaker)
        assert certificate.k == (7 if method == "kfwer" else 1)
    with pytest.raises(CertificationError, match="k: found 0"):
        certify(votes, method="kfwer", k=0)
    with pytest.raises(CertificationError, match=r"k: found 1600, which allows all 1600 pixels to be wrong"):
        certify(votes, method="kfwer", k=1600)


@pytest.mark.parametrize("count", [1, 2, 100, 101, 1000, 262_144])
def test_harmonic_numbers(count):
    assert harmonic(count) == pytest.approx(math.fsum(1 / i for i in range(1, count + 1)), rel=1e-14)
