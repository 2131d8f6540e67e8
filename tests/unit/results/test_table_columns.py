"""One list of columns for every place: columns hidden under a weaker guarantee, and lists with the same names."""

from pathlib import Path

import pytest
from tests.unit.report.example_tables import main_table

from segcert.report.captions import FIGURES as LISTED
from segcert.report.captions import PRINTED
from segcert.report.captions import TABLES as CAPTIONS
from segcert.report.figures import FIGURES
from segcert.report.html_tables import page_table
from segcert.report.latex_tables import latex_tables, write_latex
from segcert.results.table_columns import IN_CSV, METRICS
from segcert.results.tables import TABLES

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("method", "shown"), [("segcertify", True), ("holm", True), ("kfwer", False), ("by", False)])
def test_worst_cases_are_shown_only_if_no_certified_pixel_may_be_wrong(method, shown, tmp_path):
    main = main_table(method=method)
    classes = main.assign(class_name="lung", area=1000.0, area_low=900.0, area_high=1100.0)
    for name, table in {"main": main, "classes": classes}.items():
        titles = {column.title for column in page_table(name, table, weaker=not shown).columns}
        assert ("worst-case Dice" in titles) == shown
        assert ("certified area (pixels)" in titles) == (shown and name == "classes")
        assert "certified Dice" in titles
    # A method without a radius map uses that of segcertify, which the column `method` names.
    tables = {"classes": (classes, shown), "radii": (main.assign(method="segcertify"), True)}
    for name, (table, expected) in tables.items():
        write_latex(tmp_path / "table.tex", latex_tables(name, table, main, {"phantom": "a"}), "about")
        text = (tmp_path / "table.tex").read_text()
        assert ("worst-case Dice" in text) == expected
        assert ("900 to 1100" in text) == (expected and name == "classes")


def test_lists_for_rules_name_the_tables_and_figures_that_are_made():
    assert set(IN_CSV) == set(TABLES)
    assert set(CAPTIONS) == {*IN_CSV, "stages"}
    assert set(PRINTED) == set(FIGURES)
    assert {column.name for column in METRICS} <= set(main_table().columns)
    for name in LISTED:
        assert f"captions.figures.{name} }}" in (ROOT / f"reports/captions/{name}.rst").read_text()
