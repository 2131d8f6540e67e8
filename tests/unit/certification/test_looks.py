"""Planned looks: they share alpha, certify as `certify` does, and are refused if they could certify nothing."""

import numpy as np
import pytest

from segcert.certification.certificate import ABSTAIN, certify
from segcert.certification.looks import Looks
from segcert.certification.methods import METHODS, CertificationError, parse_looks, require_intervals
from segcert.votes import Votes

PIXELS = 64 * 64


def unanimous(n, n0=10, pixels=PIXELS):
    counts = [np.stack([np.full((1, pixels), draws), np.zeros((1, pixels), int)]) for draws in (n0, n)]
    return Votes.from_counts(*counts, sigma=0.25)


def random_votes(rng, n):
    wins = rng.binomial(n, rng.choice([0.7, 0.9, 0.99, 1.0], (8, 8)))
    first = rng.binomial(10, wins / n)
    return Votes.from_counts([first, 10 - first], [wins, n - wins], sigma=0.25)


@pytest.mark.parametrize("method", METHODS)
def test_a_look_is_a_decision_at_its_share_of_alpha(method):
    rng = np.random.default_rng(0)
    looks = Looks((60, 110, 300), 0.75, 0.03, method, k=3)
    for n in looks.ns:
        votes = random_votes(rng, n)
        found, single = looks.certify(votes), certify(votes, 0.75, 0.01, method, k=3)
        assert np.array_equal(found.labels, single.labels)
        assert (found.labels != ABSTAIN).any()
        assert (found.n, found.alpha, found.level, found.looks) == (n, 0.03, 0.01, looks.ns)
        assert found.decision() == found.settings() | {"n": 300}


def test_a_single_look_is_the_decision_of_a_fixed_n():
    assert Looks((60,)).certify(unanimous(60)).decision() == certify(unanimous(60)).decision()


def test_sampling_ends_when_few_enough_pixels_abstain():
    half = unanimous(60, pixels=4).estimation.copy()
    half[:, 0, :2] = 30
    votes = Votes.from_counts(unanimous(60, pixels=4).selection, half, sigma=0.25)
    assert Looks((60, 110), alpha=0.05).certify(votes).abstain == 0.5
    for share, ends in [(0.0, False), (0.49, False), (0.5, True), (1.0, True)]:
        assert Looks((60, 110), alpha=0.05, stop_at_abstention=share).are_over(votes) == ends
    assert Looks((30, 60), alpha=0.05).are_over(votes), "the last look"


@pytest.mark.parametrize("method", ["segcertify", "holm"])
def test_the_least_n_of_a_look_is_exact(method):
    """With the n that the error names, unanimous votes certify all pixels; with one draw less, none."""
    with pytest.raises(CertificationError, match=r"found 20, but .* alpha 0.001, which 3 looks share,") as refused:
        Looks((20, 110, 300), method=method).check(PIXELS, n0=10)
    least = int(str(refused.value).split("Write ")[1].split()[0])
    looks = Looks((least, 110, 300), method=method)
    looks.check(PIXELS, n0=10)
    assert looks.certify(unanimous(least)).abstain == 0
    with pytest.raises(CertificationError):
        certify(unanimous(least - 1), alpha=0.001 / 3, method=method)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Looks(()), "found an empty list"),
        (lambda: Looks((60,), stop_at_abstention=1.5), "stop_at_abstention"),
        (lambda: Looks((60, 60)).check(PIXELS, 10), "in increasing order"),
        (lambda: Looks((110, 60)).check(PIXELS, 10), r"Write `looks: \[60, 110\]`"),
        (lambda: Looks((100, 200), method="kfwer", k=9).check(9, 10), "all 9 pixels to be wrong"),
        (lambda: certify(unanimous(60), looks=(110, 60)), "in increasing order"),
        (lambda: Looks((60, 110), alpha=0.9).check(PIXELS, 10), "alpha: found 0.9"),
        (
            lambda: require_intervals(20, 4, 0.75, 0.001, 10, (20, 60)),
            "30 draws .* 2 looks share.* the first look by 4",
        ),
        (
            lambda: certify(unanimous(100), looks=(60, 110)),
            "found n = 100; expected one of the planned numbers of draws .*: 60, 110",
        ),
        (lambda: parse_looks("60,x"), "found '60,x'"),
        (lambda: parse_looks("60,0"), "found '60,0'"),
        (lambda: parse_looks(","), "found ','"),
    ],
)
def test_impossible_looks_are_refused(make, message):
    with pytest.raises(CertificationError, match=message):
        make()


def test_looks_are_read_from_text():
    assert parse_looks("60, 110,300") == (60, 110, 300)
    assert parse_looks("") == ()
