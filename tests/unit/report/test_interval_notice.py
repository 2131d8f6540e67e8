"""The notice about intervals of means: when it is shown, and the coverage that it and the documentation state."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import jinja2
import pandas as pd
import pytest

from segcert.report.html import TEMPLATES
from segcert.report.page import sample_limits

ROOT = Path(__file__).parents[3]
COVERAGE = json.loads((ROOT / "benchmarks/results/coverage.json").read_text())["coverage"]


def notice(*rows, group="patient"):
    """Return the text of the notice for rows of the main table, each given as (images, groups, failed)."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    macros = environment.get_template("notices.html.j2").module
    limits = sample_limits(pd.DataFrame(rows, columns=["images", "groups", "failed"]))
    shown = macros.intervals(SimpleNamespace(about={"title": "Chest", "group": group}), limits)
    return re.sub(r"<.*?>", "", str(shown)).strip()


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        ([(29, 29, 0)], ["come from 29 patients"]),
        ([(100, 29, 0)], ["come from 29 patients"]),
        ([(100, 9, 0)], ["The 100 images belong to only 9 patients", "treat all images as independent"]),
        ([(100, 100, 0), (100, 100, 4), (100, 100, 60)], ["4 images failed"]),
        ([(8, 8, 1)], ["come from 8 patients", "1 image failed"]),
        ([(1, 1, 0)], ["come from 1 patient."]),
    ],
)
def test_the_notice_names_what_makes_intervals_too_narrow(rows, texts):
    text = notice(*rows)
    for each in texts:
        assert each in text
    for each in ("belong to only", "come from", "failed:"):
        assert (each in text) == any(each.rstrip(":") in expected for expected in texts)


@pytest.mark.parametrize("rows", [[(30, 30, 0)], [(100, 30, 5)], [(60, 60, 0), (60, 60, 30)]])
def test_large_samples_without_rare_failures_have_no_notice(rows):
    assert notice(*rows) == ""


def test_the_notice_states_the_measured_coverage():
    failed = COVERAGE["beta(12, 1.5), 8% failed"]
    text = notice((12, 12, 0), group="image")
    for images in (12, 30):
        assert f"{images} " in text
        assert f"{failed[f'{images} images']['current']['covers']:.0%}" in text


def test_the_documentation_states_the_measured_coverage():
    text = (ROOT / "docs/explanation/methods.md").read_text()
    for case in COVERAGE["normal"]:
        cells = [case]
        for cases in COVERAGE.values():
            current, percentile = (cases[case][method]["covers"] for method in ("current", "percentile"))
            cells.append(f"{current:.1%} ({percentile:.1%})")
        assert f"| {' | '.join(cells)} |" in text
