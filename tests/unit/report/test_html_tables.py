import re

import pytest
from tests.unit.report.example_tables import main_table, measurement_table

from segcert.report.html_tables import page_table


def shown(name, frame, column):
    """Return the text of a column on the page, without markup."""
    table = page_table(name, frame, weaker=False)
    place = [each.name for each in table.columns].index(column)
    return [re.sub("<[^>]*>", "", cells[place]) for _, cells in table.rows]


@pytest.mark.parametrize(("undefined", "text"), [(0, "30"), (3, "30 (3 undefined)")])
def test_images_without_a_certified_dice_are_counted_beside_the_images(undefined, text):
    frame = main_table().assign(images=30, undefined=undefined)
    assert set(shown("main", frame, "images")) == {text}


def test_decisions_are_counted_with_right_and_wrong_ones():
    decided = shown("measurements", measurement_table(main_table()), "threshold")
    assert set(decided) == {"", "3 above 0.5, 4 below, 1 open; 5 right, 2 wrong"}
