"""`snakemake compare` on a finished run and another run with the same votes."""

import re

import pandas as pd
import pytest
from tests.support.checkout import Checkout, copy_checkout
from tests.support.digests import digests
from tests.tools.simulated import make_run
from tests.tools.simulated.variants import usual

MODEL = ["dataset", "model", "regime", "denoiser", "sigma"]
BOTH = ("--config", "compare=[usual,other]")


def made(checkout):
    """Return digests of all files of runs; folders of comparisons have a + in their names."""
    return {name: digest for name, digest in digests(checkout.path).items() if "+" not in name}


@pytest.fixture(scope="module")
def two_runs(simulated, tmp_path_factory):
    """Return a checkout with two simulated runs: the same votes under two methods."""
    first = Checkout(simulated("usual").checkout)
    checkout = copy_checkout(first, tmp_path_factory.mktemp("compared") / "repo")
    make_run(checkout.path, {**usual(checkout.path), "run": "other", "method": "holm"}, "all")
    return checkout


def test_comparing_a_missing_run_names_it(finished_once):
    done = finished_once.snakemake("compare", "--config", "compare=[tiny,other]", check=False)
    assert done.returncode == 1
    assert "no run 'other' in results; runs in this checkout: tiny" in done.output


def test_comparing_two_runs_changes_nothing_in_them(two_runs):
    before = made(two_runs)
    output = two_runs.snakemake("compare", *BOTH, configfile="simulated-usual.yaml").output
    assert re.search(r"^1/1 .* s  compare$", output, re.MULTILINE)
    assert "Comparison page: reports/usual+other/index.html" in output
    assert made(two_runs) == before

    folder = two_runs.path / "reports/usual+other"
    table = pd.read_csv(folder / "tables/compare.csv", keep_default_na=False, na_values=[""])
    assert list(table["run"]) == ["usual", "other"] * 12
    for run, rows in table.groupby("run"):
        main = pd.read_csv(two_runs.path / f"reports/{run}/tables/main.csv", keep_default_na=False)
        for column in ("images", "certified_dice", "certified_dice_low", "worst_case_dice_high", "abstain", "radius"):
            assert list(rows.sort_values(MODEL)[column]) == list(main.sort_values(MODEL)[column]), column
    paired = table[table["run"] == "other"]
    assert set(paired["paired_images"]) == {6}
    assert (paired["difference"] > 0).any()

    page = (folder / "index.html").read_text()
    assert 'href="../other/index.html"' in page
    two_runs.segcert("compare", "usual", "other")
    assert (folder / "index.html").read_text() == page
