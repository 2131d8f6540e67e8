"""Numbers in the page's sentences."""

import pytest
from tests.unit.report.example_tables import PAIRINGS, SIGMAS, main_table, measurement_table

from segcert.report.page import _error_probability


@pytest.mark.parametrize(("method", "kinds"), [("segcertify", 3), ("holm", 3), ("kfwer", 3), ("by", 2)])
def test_error_probabilities_of_labels_radius_maps_and_intervals_add_up(method, kinds):
    """Each of 2 x 8 images has alpha for each kind of statement, pairing and noise level; `by` has none for labels."""
    main = main_table(datasets=("chest", "skin"), method=method)
    expected = 0.001 * 16 * len(PAIRINGS) * len(SIGMAS) * kinds
    assert _error_probability(main, measurement_table(main)) == pytest.approx(expected)
