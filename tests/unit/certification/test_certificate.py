import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from statsmodels.stats.multitest import multipletests

from segcert.certification.certificate import ABSTAIN, certified_radius, certify, radius_in_gray_levels
from segcert.certification.methods import CertificationError
from segcert.certification.multiple_testing import holm_threshold, p_value_table
from segcert.votes import Votes

PROBLEMS = 5000


def oracle(selection, estimation, tau, alpha):
    """Decide pixel by pixel: scipy's binomtest, then Holm of statsmodels."""
    num_classes = len(selection)
    n = int(estimation[:, 0, 0].sum())
    votes = list(zip(selection.reshape(num_classes, -1).T, estimation.reshape(num_classes, -1).T, strict=True))
    chosen = [int(np.argmax(of_pixel)) for of_pixel, _ in votes]
    counts = [int(of_pixel[c]) for c, (_, of_pixel) in zip(chosen, votes, strict=True)]
    p_value = {count: binomtest(count, n, tau, alternative="greater").pvalue for count in set(counts)}
    p_values = [p_value[count] for count in counts]
    rejected = multipletests(p_values, alpha, method="holm")[0]
    return np.where(rejected, chosen, ABSTAIN).reshape(estimation.shape[1:])


def random_problem(rng):
    """Draw votes with ties, unanimous pixels and hopeless pixels, and any tau and alpha."""
    n, n0 = int(rng.integers(1, 1001)), int(rng.integers(1, 12))
    tau, alpha = rng.uniform(0.5001, 0.99), 10 ** rng.uniform(-4, -0.31)
    shape, num_classes = tuple(rng.integers(1, 9, 2)), int(rng.integers(2, 5))
    share = rng.choice([0.0, tau, 1.0, rng.uniform(0.4, 1)], shape, p=[0.1, 0.3, 0.3, 0.3])
    first = rng.binomial(n, share)
    rest = rng.multinomial(1, np.ones(num_classes - 1) / (num_classes - 1), shape).transpose(2, 0, 1)
    estimation = np.concatenate([first[None], (n - first) * rest])
    selection = rng.multinomial(n0, [0.7] + [0.3 / (num_classes - 1)] * (num_classes - 1), shape).transpose(2, 0, 1)
    return selection, estimation, tau, alpha


@pytest.mark.usefixtures("no_collection")
def test_decisions_equal_those_of_scipy_and_statsmodels():
    rng = np.random.default_rng(0)
    compared = certified = 0
    while compared < PROBLEMS:
        selection, estimation, tau, alpha = random_problem(rng)
        expected = oracle(selection, estimation, tau, alpha)
        try:
            certificate = certify(Votes.from_counts(selection, estimation, sigma=0.5), tau=tau, alpha=alpha)
        except CertificationError:
            assert (expected == ABSTAIN).all()
            continue
        assert np.array_equal(certificate.labels, expected)
        compared += 1
        certified += (expected != ABSTAIN).any()
    assert certified > PROBLEMS / 3, "the problems must not be trivial"


@pytest.mark.parametrize(("n", "tau"), [(1, 0.6), (100, 0.75), (1000, 0.99)])
def test_p_values_equal_those_of_binomtest(n, tau):
    table = p_value_table(n, tau)
    assert len(table) == n + 1
    for k in {0, 1, n // 2, n - 1, n}:
        assert table[k] == binomtest(k, n, tau, alternative="greater").pvalue
    assert (np.diff(table) <= 0).all()


@pytest.mark.usefixtures("no_collection")
@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_holm_by_histogram_equals_holm_of_statsmodels(data):
    counts = np.array(data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=40)))
    tau = data.draw(st.floats(0.5, 0.95))
    alpha = data.draw(st.floats(1e-6, 0.3))
    p_values = p_value_table(60, tau)
    threshold = holm_threshold(np.bincount(counts, minlength=61), p_values, alpha)
    expected = multipletests(p_values[counts], alpha, method="holm")[0]
    assert np.array_equal(counts >= threshold, expected)


def test_unanimous_votes_are_certified_and_split_votes_are_not():
    unanimous = np.zeros((2, 4, 4), np.uint16)
    unanimous[1] = 100
    assert (certify(Votes.from_counts(unanimous, unanimous, sigma=0.5)).labels == 1).all()
    split = np.full((2, 4, 4), 50, np.uint16)
    certificate = certify(Votes.from_counts(split, split, sigma=0.5))
    assert (certificate.labels == ABSTAIN).all()
    assert certificate.abstain == 1.0


def test_the_class_comes_from_the_selection_draws_alone():
    selection, estimation = np.array([[[10]], [[0]]]), np.array([[[0]], [[100]]])
    assert certify(Votes.from_counts(selection, estimation, sigma=0.5)).labels[0, 0] == ABSTAIN


def test_radius():
    assert certified_radius(0.5, 0.75) == pytest.approx(0.5 * norm.ppf(0.75))
    assert certified_radius(0.25, 0.75) == pytest.approx(0.16862, abs=1e-5)
    assert radius_in_gray_levels(1.0, 100 * 100) == pytest.approx(2.55)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tau": 0.5}, "tau: found 0.5"),
        ({"tau": 1.0}, "tau: found 1.0"),
        ({"tau": math.nan}, "tau: found nan"),
        ({"alpha": 0.0}, "alpha: found 0.0"),
        ({"method": "guess"}, "method: found 'guess'; expected one of segcertify"),
        ({"tau": 0.99}, "no pixel can be certified.*Write `n: "),
    ],
)
def test_bad_settings_are_refused(settings, message):
    votes = np.full((1, 2, 2), 100)
    with pytest.raises(CertificationError, match=message):
        certify(Votes.from_counts(votes, votes, sigma=0.5), **settings)
