import math
from types import SimpleNamespace

import numpy as np
import pytest

from segcert.certification.certificate import certify
from segcert.results.image_rows import against_truth, metric_rows
from segcert.votes import Votes


@pytest.mark.parametrize(
    ("decision", "truth", "outcome"),
    [
        ("above", 0.6, "right"),
        ("above", 0.4, "wrong"),
        ("below", 0.4, "right"),
        ("below", 0.6, "wrong"),
        ("above", 0.5, "wrong"),  # the question is: > 0.5
        ("below", 0.5, "right"),
        ("open", 0.6, ""),
        ("", 0.6, ""),
        ("below", math.nan, ""),
    ],
)
def test_a_decision_is_right_or_wrong_by_the_ground_truth(decision, truth, outcome):
    assert against_truth(decision, truth, 0.5) == outcome


@pytest.mark.parametrize("method", ["segcertify", "holm", "kfwer", "by"])
def test_bounds_are_stated_only_if_no_certified_pixel_may_be_wrong(method):
    counts = np.zeros((2, 4, 4), int)
    counts[1, :, :2] = 1  # two columns of the image are unanimously the structure
    counts[0] = 1 - counts[1]
    areas = np.tile(counts.sum((1, 2)), (110, 1))
    votes = Votes((10 * counts).astype(np.uint8), (100 * counts).astype(np.uint8), 0.25, areas.astype(np.uint32))
    about = {"name": "chest", "classes": ["background", "lungs"], "channels": 1}
    truth = np.ones((4, 4), np.uint8)
    dataset = SimpleNamespace(about=about, mask=lambda image: truth, group=lambda image: image)
    (row,) = metric_rows(dataset, "one", votes, truth, certify(votes, 0.75, 0.001, method, k=2), {})
    bounds = [row["worst_case_dice"], row["area_low"], row["area_high"]]
    if method in ("kfwer", "by"):
        assert all(map(math.isnan, bounds))
    else:
        assert bounds == pytest.approx([2 * 8 / (16 + 8), 8, 8])
    assert row["certified_dice"] == pytest.approx(2 * 8 / (16 + 8))
