"""The sequential test of an attacked pixel: its error, its power, and planted errors that it must find."""

import numpy as np
import pytest
from scipy.stats import beta, norm

from segcert.certification.attacked_share import (
    ERROR,
    HOPELESS,
    OVERSTATED,
    Claim,
    ShareTest,
    lower_bound,
    measured_fall,
)

TAU = 0.75
FALL = float(norm.ppf(TAU))  # allowed at the radius
HALF = ERROR / 2


def claim(factor=3.0, promised=TAU, clean_draws=324, draws=296, error=HALF):
    return Claim(factor * FALL, promised, clean_draws, draws, error, error)


def test_the_lower_bound_is_that_of_clopper_and_pearson():
    assert [lower_bound(k, 50, 0.01) for k in (1, 30, 50)] == pytest.approx(
        [beta.ppf(0.01, k, 51 - k) for k in (1, 30, 50)]
    )
    assert lower_bound(0, 50, 0.01) == 0


@pytest.mark.parametrize("share", [0.7501, 0.78, 0.85, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("factor", [1.0, 2.0, 3.0, 6.0])
def test_a_right_certificate_is_refuted_with_at_most_the_stated_probability(share, factor):
    """The worst case is a perfect attack on a half-space. The probability is exact, summed over all votes."""
    for error in (0.0005, 0.02):
        test = claim(factor, error=error)
        assert test.power(share, test.fall) <= 2 * error
        assert test.power(share, 0.8 * test.fall) <= 2 * error


def test_a_weaker_certificate_promises_no_share_but_its_fall_is_tested():
    wrong = 0.45  # certified although its share is below tau
    assert claim(1.0, promised=TAU).power(wrong, FALL) > 0.9
    assert claim(1.0, promised=0.0).power(wrong, FALL) <= ERROR
    assert claim(promised=0.0).power(0.9, 2 * 3 * FALL) > 0.99


@pytest.mark.parametrize("share", [0.78, 0.85, 0.9, 0.93, 0.97])
def test_a_radius_twice_too_large_is_found(share):
    """The test that this one replaces (100 draws, majority lost at one of 4096 pixels) found it with .003 at .85."""
    assert claim(2.0).power(share, 2 * 2 * FALL) > 0.999
    assert claim(3.0).power(share, 2 * 3 * FALL) > 0.999
    assert claim(3.0).power(share, OVERSTATED * 3 * FALL) > 0.8


def test_power_is_that_of_simulated_tests():
    test, share, rng, runs = claim(2.0, error=0.01), 0.88, np.random.default_rng(0), 4000
    attacked, refuted = norm.cdf(norm.ppf(share) - OVERSTATED * test.fall), 0
    for clean_votes in rng.binomial(test.clean_draws, share, runs):
        sequential, votes, seen, done = test.test(int(clean_votes)), 0, 0, None
        for look in sequential.looks:
            votes, seen = votes + rng.binomial(look - seen, attacked), look
            done = sequential.refutes(votes, look)
            if done is not None:
                break
        refuted += done is True
    expected = test.power(share, OVERSTATED * test.fall)
    assert 0.2 < expected < 0.95
    assert abs(refuted / runs - expected) < 4 * np.sqrt(expected * (1 - expected) / runs)


def test_error_of_the_sequential_test_is_held_at_every_null_and_its_alternative_is_found():
    test = ShareTest(least=0.3, alternative=0.15, draws=2000, error=0.001)
    assert 0.0001 < test.power(0.3) <= 0.001
    assert test.power(0.35) < test.power(0.3)
    assert test.power(0.15) > 1 - 2 * HOPELESS
    assert test.looks[0] == 100
    assert test.looks[-1] == 2000
    assert test.refutes(0, 100) is True
    assert test.refutes(100, 100) is False
    assert test.refutes(22, 100) is None


def test_nothing_is_refuted_where_nothing_can_be():
    assert claim(promised=0.0).test(0).power(0.0) == 0  # no clean votes: a share of 0 is allowed
    assert claim(draws=0).test(300).looks == []
    assert claim(draws=0).power(0.9, 20.0) == 0
    assert claim().power(1.0, 2 * 3 * FALL) == 0  # a share of one has no boundary to reach
    assert claim(40.0).power(0.9, 80 * FALL) == 0
    assert claim(draws=30).test(300).looks == [30]


def test_many_draws_take_no_long_time():
    test = Claim(FALL, TAU, 4000, 5000, HALF, HALF)
    assert test.power(0.9, OVERSTATED * FALL) > 0.95


def test_the_measured_fall_is_in_normal_quantiles():
    assert measured_fall(900, 1000, 500, 1000) == pytest.approx(norm.ppf(0.9))
    assert measured_fall(100, 100, 0, 100) == pytest.approx(2 * norm.ppf(0.995))
