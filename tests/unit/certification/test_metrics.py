import itertools
import math

import numpy as np
import pytest

from segcert.certification.certificate import ABSTAIN, certify
from segcert.certification.metrics import class_dice, class_metrics, vote_labels
from segcert.votes import Votes


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else math.nan


def test_metrics_by_hand():
    truth = np.array([[1, 1, 1, 0, 0, 0]])
    predicted = np.array([[1, 1, 0, 0, 0, 1]])
    certified = np.array([[1, ABSTAIN, 0, 0, ABSTAIN, 1]])
    metrics = class_metrics(truth, predicted, certified, 1)
    assert metrics["dice"] == pytest.approx(2 * 2 / (3 + 3))
    assert metrics["iou"] == pytest.approx(2 / 4)
    assert metrics["certified_dice"] == pytest.approx(2 * 1 / (3 + 2))
    assert metrics["certified_iou"] == pytest.approx(1 / 4)
    assert metrics["worst_case_dice"] == pytest.approx(2 * 1 / (3 + 2 + 1))
    assert (metrics["area"], metrics["area_low"], metrics["area_high"]) == (3, 2, 4)


def test_worst_case_dice_is_the_least_over_all_fillings():
    """Try all labels of the abstained pixels by brute force, on random maps."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        truth, certified = rng.integers(0, 2, 7), rng.integers(0, 2, 7)
        unsure = rng.random(7) < 0.5
        fillings = []
        for filling in itertools.product([0, 1], repeat=int(unsure.sum())):
            labels = certified.copy()
            labels[unsure] = filling
            fillings.append(dice(truth == 1, labels == 1))
        metrics = class_metrics(truth, certified, np.where(unsure, ABSTAIN, certified), 1)
        least = np.nanmin(fillings) if not np.isnan(fillings).all() else math.nan
        assert metrics["worst_case_dice"] == pytest.approx(least, nan_ok=True)
        areas = [(np.where(unsure, fill, certified) == 1).sum() for fill in (0, 1)]
        assert (metrics["area_low"], metrics["area_high"]) == tuple(areas)


def random_counts(rng, classes, draws, pixels):
    """Votes of independent draws at each pixel, shape (classes, 1, pixels)."""
    return rng.multinomial(draws, rng.dirichlet(np.ones(classes), pixels)).T[:, None]


def vote_dice(selection, estimation, truth, class_id):
    """Dice of the vote by plain loops, and the number of pixels at which the most votes are shared."""
    hits = voted = true = ties = 0
    for pixel, label in enumerate(truth[0]):
        counts = [first[0][pixel] + second[0][pixel] for first, second in zip(selection, estimation, strict=True)]
        winner = 0
        for candidate in range(len(counts)):
            if counts[candidate] > counts[winner]:
                winner = candidate
        ties += counts.count(counts[winner]) > 1
        hits += winner == class_id and label == class_id
        voted += winner == class_id
        true += label == class_id
    return (2 * hits / (voted + true) if voted + true else math.nan), ties


def test_the_dice_of_the_vote_equals_plain_loops():
    rng = np.random.default_rng(3)
    tied, undefined = 0, 0
    for _ in range(300):
        classes, pixels = rng.integers(2, 5), rng.integers(1, 6)
        selection = random_counts(rng, classes, rng.integers(0, 4), pixels)
        estimation = random_counts(rng, classes, rng.integers(1, 6), pixels)
        truth = rng.integers(0, classes, (1, pixels))
        voted = vote_labels(Votes.from_counts(selection, estimation, 0.25))
        for class_id in range(classes):
            expected, ties = vote_dice(selection.tolist(), estimation.tolist(), truth, class_id)
            assert class_dice(truth, voted, class_id) == pytest.approx(expected, nan_ok=True)
            tied += ties > 0
            undefined += math.isnan(expected)
    assert tied > 100
    assert undefined > 100


def test_the_vote_counts_all_draws_and_a_tie_goes_to_the_lowest_class():
    selection = [[[0, 1, 1]], [[2, 1, 0]], [[0, 0, 1]]]
    estimation = [[[2, 1, 0]], [[1, 1, 1]], [[0, 1, 2]]]  # the first pixel has class 1 only with the selection draws
    assert vote_labels(Votes.from_counts(selection, estimation, 0.25)).tolist() == [[1, 0, 2]]


def test_many_votes_are_added_without_overflow():
    votes = Votes.from_counts([[[40000]], [[0]]], [[[30000]], [[40000]]], 0.25)
    assert votes.selection.dtype == np.uint16
    assert vote_labels(votes).tolist() == [[0]]


def test_worst_case_dice_is_at_most_the_dice_of_the_vote():
    """With the method holm, the vote's labels are one way to fill the pixels that abstain."""
    rng = np.random.default_rng(4)
    compared = 0
    for _ in range(100):
        selection, estimation = random_counts(rng, 3, 10, 12), random_counts(rng, 3, 100, 12)
        votes = Votes.from_counts(selection, estimation, 0.25)
        certified, voted = certify(votes, 0.6, 0.05, "holm").labels, vote_labels(votes)
        assert (voted == certified)[certified != ABSTAIN].all()
        truth = np.where(rng.random((1, 12)) < 0.8, voted, rng.integers(0, 3, (1, 12)))
        for class_id in (1, 2):
            metrics = class_metrics(truth, truth, certified, class_id)
            if not math.isnan(metrics["worst_case_dice"]) and (voted == class_id).any():
                assert metrics["worst_case_dice"] <= class_dice(truth, voted, class_id)
                compared += 1
    assert compared > 100


def test_certified_dice_may_exceed_the_dice_of_the_vote():
    truth, voted, certified = np.array([[1, 0]]), np.array([[1, 1]]), np.array([[1, ABSTAIN]])
    assert class_dice(truth, voted, 1) == pytest.approx(2 / 3)
    assert class_metrics(truth, voted, certified, 1)["certified_dice"] == 1


def test_an_absent_structure_has_no_dice():
    nothing = np.zeros((2, 2), int)
    metrics = class_metrics(nothing, nothing, nothing, 1)
    assert math.isnan(metrics["dice"])
    assert math.isnan(metrics["certified_dice"])
    assert math.isnan(metrics["worst_case_dice"])
