"""Rates of false claims: Monte Carlo with fixed seeds.

The percentile bootstrap is approximate: with few images, its 95% interval of a mean misses the truth in more than one
case of twenty. For a difference of exactly zero, either verdict (`holds`, `does not hold`) should have the probability
0.025. These tests check the rates stated in `claim_table`, for 20 images and differences that are normal, heavy-tailed
or skewed.
"""

import numpy as np
import pytest
from scipy.stats import binomtest

from segcert.results.bootstrap import mean_interval
from segcert.results.claims import FAILS, HOLDS, verdict

RUNS, IMAGES, RESAMPLES = 2000, 20, 400
STATED = {"normal": 0.05, "heavy tails": 0.05, "skewed": 0.07}
DIFFERENCES = {
    "normal": lambda rng: rng.normal(size=IMAGES),
    "heavy tails": lambda rng: rng.standard_t(3, size=IMAGES),
    "skewed": lambda rng: rng.gamma(2, size=IMAGES) - 2,
}


def rates(shift, draw, seed):
    rng = np.random.default_rng(seed)
    found = [verdict(1, *mean_interval(draw(rng) + shift, RESAMPLES)[1:]) for _ in range(RUNS)]
    return found.count(HOLDS), found.count(FAILS)


@pytest.mark.parametrize("kind", DIFFERENCES)
def test_false_claims_are_no_more_frequent_than_stated(kind):
    for seemed in rates(0.0, DIFFERENCES[kind], 1 + list(DIFFERENCES).index(kind)):
        assert seemed / RUNS > 0.01
        assert binomtest(seemed, RUNS).proportion_ci(0.95, "exact").low <= STATED[kind]


def test_a_difference_of_one_standard_deviation_is_seen():
    holds, fails = rates(1.0, DIFFERENCES["normal"], 0)
    assert holds / RUNS > 0.97
    assert fails == 0
