import math

import pytest

from segcert.results.image_rows import against_truth


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
