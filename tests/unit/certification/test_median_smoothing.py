"""Certified intervals, radius maps, plans and forecasts."""

import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from segcert.certification.certificate import ABSTAIN, certify
from segcert.certification.median_smoothing import certify_measurements, median_interval, smallest_draws
from segcert.certification.methods import CertificationError
from segcert.certification.radius_map import radius_map
from segcert.certification.sample_size import draws_needed, plan
from segcert.results.budget_rows import forecast_counts, forecast_labels
from segcert.votes import Votes


@pytest.mark.parametrize(("n", "tau", "alpha"), [(50, 0.75, 0.001), (110, 0.6, 0.05), (1000, 0.9, 0.01)])
def test_interval_ends_are_the_tightest_order_statistics(n, tau, alpha):
    """For the values 1..n, the ends pass the exact test at alpha / 2, and the next order statistics inwards do not."""
    interval = median_interval(np.random.default_rng(0).permutation(n) + 1.0, 0.5, tau, alpha)
    low, high = int(interval.low), int(interval.high)
    assert binom.sf(high - 1, n, tau) <= alpha / 2 < binom.sf(high - 2, n, tau)
    assert binom.cdf(low - 1, n, 1 - tau) <= alpha / 2 < binom.cdf(low, n, 1 - tau)
    assert (interval.radius, interval.draws, interval.alpha) == (0.5 * norm.ppf(tau), n, alpha)


def test_undefined_draws_open_the_interval():
    values = np.full(100, 5.0)
    values[:3] = np.nan
    assert (median_interval(values, 0.5).low, median_interval(values, 0.5).high) == (5.0, 5.0)
    values[:40] = np.nan
    interval = median_interval(values, 0.5)
    assert (interval.low, interval.median, interval.high) == (-math.inf, 5.0, math.inf)
    assert interval.decide(1.0) is None


def test_too_few_draws_are_refused_and_the_least_number_is_named():
    least = smallest_draws(0.75, 0.001)
    assert median_interval(np.arange(float(least)), 0.5).low == 0.0
    with pytest.raises(CertificationError, match=f"expected {least} or more"):
        median_interval(np.arange(least - 1.0), 0.5)
    with pytest.raises(CertificationError, match="one value for each draw"):
        median_interval(np.zeros((3, 2)), 0.5)


def test_alpha_is_shared_among_measurements():
    counts = np.array([[[50]], [[50]]])
    votes = Votes.from_counts(counts // 10, counts, sigma=0.5)
    values = {name: np.arange(110.0) for name in "abc"}
    together = certify_measurements(votes, values, alpha=0.03)
    assert together["b"] == median_interval(values["b"], 0.5, 0.75, 0.01, "b")
    assert certify_measurements(votes) == {}


def test_decisions_need_the_whole_interval():
    interval = median_interval(np.arange(100.0), 0.5, alpha=0.05)
    assert interval.decide(interval.low - 1) == "above"
    assert interval.decide(interval.high + 1) == "below"
    assert interval.decide(interval.low) is None
    assert interval.decide(50) is None


@pytest.mark.parametrize("method", ["segcertify", "holm"])
def test_a_radius_map_contains_the_certificate_of_its_largest_tau(method):
    rng = np.random.default_rng(3)
    wins = rng.binomial(200, rng.uniform(0.5, 1, (30, 30)))
    votes = Votes.from_counts(np.stack([0 * wins, 0 * wins + 10]), np.stack([200 - wins, wins]), sigma=0.5)
    taus = (0.6, 0.75, 0.9)
    found = radius_map(votes, taus, 0.01, method)
    largest = certify(votes, 0.9, 0.01, method).labels != ABSTAIN
    at_largest = np.isclose(found.radius, 0.5 * norm.ppf(0.9))
    assert (at_largest <= largest).all()
    assert largest.sum() - at_largest.sum() <= 10, "reserving a hundredth of alpha costs next to nothing"
    if method == "segcertify":
        assert np.array_equal(at_largest, largest)
        shared = [certify(votes, tau, 0.01 / 3).labels != ABSTAIN for tau in taus]
        assert sum(mask.sum() for mask in shared) <= sum((found.radius >= 0.5 * norm.ppf(t) - 1e-9).sum() for t in taus)
    assert set(np.unique(found.radius.round(6))) <= {0.0, *(round(0.5 * norm.ppf(tau), 6) for tau in taus)}
    assert ((found.labels == ABSTAIN) == (found.radius == 0)).all()


def test_a_radius_map_of_one_tau_is_the_certificate():
    rng = np.random.default_rng(4)
    wins = rng.binomial(100, rng.uniform(0.6, 1, (20, 20)))
    votes = Votes.from_counts(np.stack([0 * wins, 0 * wins + 10]), np.stack([100 - wins, wins]), sigma=0.5)
    assert np.array_equal(radius_map(votes, [0.75], 0.01).labels, certify(votes, 0.75, 0.01).labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "by"}, "expected `segcertify` or `holm`"),
        ({"taus": []}, "increasing"),
        ({"taus": [0.8, 0.7]}, "increasing"),
        ({"taus": [0.4, 0.7]}, "tau: found 0.4"),
        ({"taus": [0.999]}, "Write `n: "),
    ],
)
def test_bad_radius_maps_are_refused(options, message):
    counts = np.full((1, 2, 2), 100)
    with pytest.raises(CertificationError, match=message):
        radius_map(Votes.from_counts(counts, counts, sigma=0.5), **options)


def test_the_planned_n_gives_the_planned_power():
    """A pixel with the planned share is certified with probability 0.95 by the planned n, not by n - 1."""
    planned = plan((1, 64, 64), 0.25, 0.75, 0.001)
    assert planned.radius == pytest.approx(0.25 * norm.ppf(0.75))
    assert planned.gray_levels == pytest.approx(255 * planned.radius / 64)
    for share, needed in planned.needed.items():
        hard, easy = needed
        assert easy <= hard
        for n, holds in ((hard, True), (hard - 1, False)):
            least = binom.isf(0.001 / 4096, n, 0.75) + 1
            assert (least <= n and binom.sf(least - 1, n, share) >= 0.95) == holds
    assert plan((64, 64), 0.25, tau=0.96).needed[0.95] is None
    assert draws_needed(1.0, 0.75, 0.001 / 4096) == planned.least_n


@pytest.mark.parametrize("method", ["segcertify", "holm", "kfwer", "by"])
def test_plans_use_the_level_of_the_method(method):
    planned = plan((64, 64), 0.25, 0.75, 0.001, method, n0=10, k=10)
    counts = np.zeros((2, 64, 64), int)
    counts[1] = 1
    first, last = planned.needed[1.0]
    for n, certified in ((planned.least_n, True), (last, True), (planned.least_n - 1, False)):
        if certified:
            votes = Votes.from_counts(10 * counts, n * counts, sigma=0.25)
            assert (certify(votes, 0.75, 0.001, method, k=10).labels == 1).all()
        else:
            with pytest.raises(CertificationError):
                certify(Votes.from_counts(10 * counts, n * counts, sigma=0.25), 0.75, 0.001, method, k=10)
    assert last <= first
    with pytest.raises(CertificationError, match="sigma: found -1"):
        plan((64, 64), -1)


def test_forecasts_keep_known_counts():
    rng = np.random.default_rng(5)
    wins = rng.binomial(100, rng.uniform(0.5, 1, (50, 50)))
    votes = Votes.from_counts(np.stack([0 * wins, 0 * wins + 10]), np.stack([100 - wins, wins]), sigma=0.5)
    same, drawn = forecast_counts(votes, 100, "segcertify")
    assert drawn == 100
    assert np.array_equal(same, wins)
    labels = forecast_labels(votes, 110, ["segcertify"], {"tau": 0.75, "alpha": 0.001})["segcertify"]
    assert np.array_equal(labels, certify(votes).labels)
    (fewer, forty), (more, thousand) = (forecast_counts(votes, n, "segcertify") for n in (40, 1000))
    assert (forty, thousand) == (40, 1000)
    assert (fewer <= wins).all()
    assert (more >= wins).all()
    assert fewer.mean() / 40 == pytest.approx(wins.mean() / 100, abs=0.005)
    assert more.mean() / 1000 == pytest.approx(wins.mean() / 100, abs=0.005)
    assert forecast_counts(votes, 190, "holm")[1] == 200


def test_a_forecast_certifies_no_class_that_did_not_win():
    counts = np.array([20, 16, 16, 16, 16, 16])[:, None, None] * np.ones((6, 8, 8), int)
    votes = Votes.from_counts(counts // 10, counts, sigma=0.5)
    for budget in (5, 70, 1000):
        labels = forecast_labels(votes, budget, ["holm"], {"tau": 0.75, "alpha": 0.001})
        assert (labels["holm"] == ABSTAIN).all()
