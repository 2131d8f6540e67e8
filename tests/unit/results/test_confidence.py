"""Confidence intervals of means, against Hall's equation solved numerically on jackknife estimates."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import t

from segcert.results.confidence import FEWEST_GROUPS, mean_interval


def solved(values, groups):
    """Return the interval from its definition: leave out one group at a time, and find the roots of Hall's equation."""
    values, groups = np.asarray(values), np.asarray(groups)
    pulls = np.array([values.mean() - values[groups != group].mean() for group in np.unique(groups)])
    count = len(pulls)
    error = math.sqrt((count - 1) / count * (pulls**2).sum())
    skewness = (pulls**3).mean() / (pulls**2).mean() ** 1.5

    def hall(statistic):
        square = skewness * statistic**2 / (3 * math.sqrt(count))
        cube = skewness**2 * statistic**3 / (27 * count)
        return statistic + square + cube + skewness / (6 * math.sqrt(count))

    sizes = [np.sum(groups == group) for group in np.unique(groups)]
    freedom = len(values) ** 2 / np.sum(np.square(sizes)) - 1
    ends = [t.ppf(share, freedom) for share in (0.975, 0.025)]
    low, high = (
        values.mean() - error * brentq(lambda x, end=end: hall(x) - end, -1e4, 1e4, xtol=1e-12) for end in ends
    )
    return values.mean(), low, high


@pytest.mark.parametrize("images", [2, 3, 12, 60])
def test_the_interval_solves_halls_equation(images):
    for seed in range(5):
        sample = np.random.default_rng(seed).beta(12, 1.5, images)
        assert mean_interval(sample) == pytest.approx(solved(sample, range(images)), rel=1e-9)


def test_a_symmetric_sample_has_students_interval():
    sample = np.concatenate([np.arange(10), -np.arange(10)])
    low, high = t.interval(0.95, 19, 0, sample.std(ddof=1) / math.sqrt(20))
    assert mean_interval(sample) == pytest.approx((0, low, high), abs=1e-12)


def test_groups_are_left_out_one_at_a_time():
    rng = np.random.default_rng(0)
    groups = np.repeat([f"patient {k}" for k in range(12)], rng.integers(1, 7, 12))
    sample = rng.beta(12, 1.5, len(groups))
    found = mean_interval(sample, groups)
    assert found == pytest.approx(solved(sample, groups), rel=1e-9)
    assert found[1:] != pytest.approx(mean_interval(sample)[1:], rel=1e-3)
    order = rng.permutation(len(groups))
    assert mean_interval(sample[order], groups[order]) == pytest.approx(found, rel=1e-12)


def test_one_group_with_nearly_all_images_gives_a_wide_interval():
    rng = np.random.default_rng(0)
    groups = np.array([0] * 1000 + list(range(1, 12)))
    mean, low, high = mean_interval(rng.random(len(groups)), groups)
    assert low < mean - 0.4 < mean + 0.4 < high < math.inf


def test_few_groups_are_ignored():
    rng = np.random.default_rng(0)
    groups = np.arange(40) % FEWEST_GROUPS
    sample = rng.random(40)
    assert mean_interval(sample, groups) != mean_interval(sample)
    few = groups % (FEWEST_GROUPS - 1)
    assert mean_interval(sample, few) == mean_interval(sample)
    sample[groups == 0] = np.nan  # a group without a defined value does not count
    assert mean_interval(sample, groups) == mean_interval(sample)


def test_small_and_constant_samples():
    assert mean_interval([0.5, np.nan]) == pytest.approx((0.5, np.nan, np.nan), nan_ok=True)
    assert np.isnan(mean_interval([np.nan])).all()
    assert np.isnan(mean_interval([])).all()
    assert mean_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)
    assert mean_interval([0.5, np.nan, 0.7]) == mean_interval([0.5, 0.7])
    _, low, high = mean_interval([0.5, 0.7])
    assert (low, high) == pytest.approx((0.6 - 0.1 * t.ppf(0.975, 1), 0.6 + 0.1 * t.ppf(0.975, 1)))


@pytest.mark.parametrize("outliers", [1, 2, 6])
def test_the_interval_contains_the_mean_and_reaches_further_towards_outliers(outliers):
    sample = np.array([0.9, 0.91] * 10)
    sample[:outliers] = 0
    mean, low, high = mean_interval(sample)
    assert low < mean < high
    assert mean - low > high - mean
