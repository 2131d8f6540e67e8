"""Error rate of planned looks at alpha = 0.05, under the worst null hypotheses, p = tau: Monte Carlo.

An adversary looks at all planned looks and takes the one that is wrong, if there is one. Seeds are fixed. A test fails
if the 95% Clopper-Pearson interval of the rate lies above alpha. If the rate were exactly alpha, one case in forty
would fail.
"""

import numpy as np
import pytest
from scipy.stats import binomtest

from segcert.certification.certificate import ABSTAIN, certify
from segcert.certification.looks import Looks
from segcert.votes import Votes

ALPHA, TAU, N0, RUNS = 0.05, 0.75, 5, 800
LOOKS = {"three": (30, 60, 150), "five": (40, 80, 120, 160, 200)}
METHODS = ["segcertify", "holm"]
# Number of pixels whose share is tau, number of pixels whose share is 0.99, and dependence between the former
NULLS = {
    "one pixel": (1, 0, False),
    "independent pixels": (25, 0, False),
    "pixels that agree": (25, 0, True),
    "among certain pixels": (5, 20, False),
}


def votes_at_each_look(rng, looks, nulls, others, agree):
    """Yield the votes of one image, with pixels of shape (1, nulls + others), at each look. Class 1 is right."""

    def draw(count):
        wins = rng.random((count, 1 if agree else nulls)) < TAU
        wins = np.broadcast_to(wins, (count, nulls))
        return np.hstack([wins, rng.random((count, others)) < 0.99])

    selection, estimation = draw(N0), draw(looks[-1])
    for n in looks:
        counts = [wins.sum(axis=0) for wins in (selection, estimation[:n])]
        stacked = [np.stack([total - count, count])[:, None] for count, total in zip(counts, (N0, n), strict=True)]
        yield Votes.from_counts(*stacked, sigma=0.5)


def is_wrong(certificate, nulls):
    """Return whether a pixel with share tau is certified, or any pixel as class 0."""
    labels = certificate.labels[0]
    return bool((labels[:nulls] != ABSTAIN).any() or (labels == 0).any())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("nulls", NULLS)
@pytest.mark.parametrize("name", LOOKS)
def test_the_worst_of_all_planned_looks_keeps_alpha(name, nulls, method):
    pixels, *_ = NULLS[nulls]
    rng = np.random.default_rng([list(LOOKS).index(name), list(NULLS).index(nulls), METHODS.index(method)])
    looks = Looks(LOOKS[name], TAU, ALPHA, method)
    errors = sum(
        any(is_wrong(looks.certify(votes), pixels) for votes in votes_at_each_look(rng, looks.ns, *NULLS[nulls]))
        for _ in range(RUNS)
    )
    assert binomtest(errors, RUNS).proportion_ci(0.95, "exact").low <= ALPHA


@pytest.mark.parametrize("method", METHODS)
def test_looks_that_do_not_share_alpha_would_be_caught(method):
    rng, errors = np.random.default_rng(0), 0
    for _ in range(RUNS):
        votes = votes_at_each_look(rng, LOOKS["five"], *NULLS["one pixel"])
        errors += any(is_wrong(certify(each, TAU, ALPHA, method), 1) for each in votes)
    assert binomtest(errors, RUNS).proportion_ci(0.95, "exact").low > ALPHA


def test_stopping_keeps_alpha_and_saves_draws():
    """Half of the images are easy: all their pixels are certain, so they end at the first look."""
    rng, looks, errors, drawn = (
        np.random.default_rng(1),
        Looks(LOOKS["three"], TAU, ALPHA, stop_at_abstention=0.1),
        0,
        [],
    )
    for run in range(RUNS):
        pixels = 0 if run % 2 else 5
        for votes in votes_at_each_look(rng, looks.ns, pixels, 20, agree=False):
            if looks.are_over(votes):
                errors += is_wrong(looks.certify(votes), pixels)
                drawn.append(votes.n)
                break
    assert len(drawn) == RUNS
    assert binomtest(errors, RUNS).proportion_ci(0.95, "exact").low <= ALPHA
    assert np.median(drawn[1::2]) == looks.ns[0]
    assert np.median(drawn[::2]) == looks.ns[-1]
