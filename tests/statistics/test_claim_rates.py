"""Rates of false claims: Monte Carlo with fixed seeds.

If the true difference is zero, either verdict (`holds`, `does not hold`) should have the probability 0.025. The
intervals are approximate. These tests check the rates stated in `claim_table`, for 20 images and differences that are
normal, heavy-tailed or skewed. A test fails if the 95% Clopper-Pearson interval of a rate lies above the stated rate.
"""

import numpy as np
import pytest
from scipy.stats import binomtest

from segcert.results.claims import FAILS, HOLDS, verdict
from segcert.results.confidence import mean_interval

RUNS, IMAGES = 4000, 20
STATED = {"normal": 0.025, "heavy tails": 0.04, "skewed": 0.04}
DIFFERENCES = {
    "normal": lambda rng: rng.normal(size=IMAGES),
    "heavy tails": lambda rng: rng.standard_t(3, size=IMAGES),
    "skewed": lambda rng: rng.gamma(2, size=IMAGES) - 2,
}


def rates(shift, draw, seed):
    rng = np.random.default_rng(seed)
    found = [verdict(1, *mean_interval(draw(rng) + shift)[1:]) for _ in range(RUNS)]
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
