import itertools
import math

import numpy as np
import pytest

from segcert.certification.certificate import ABSTAIN
from segcert.certification.metrics import class_metrics


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


def test_an_absent_structure_has_no_dice():
    nothing = np.zeros((2, 2), int)
    metrics = class_metrics(nothing, nothing, nothing, 1)
    assert math.isnan(metrics["dice"])
    assert math.isnan(metrics["certified_dice"])
    assert math.isnan(metrics["worst_case_dice"])
