"""`snakemake compare` on a finished run and another that was made from its votes."""

import os
import subprocess
import sys

import pandas as pd
import pytest
from tests.workflow.conftest import ROOT

from segcert.provenance.digests import file_digest

MODEL = ["dataset", "model", "regime", "denoiser", "sigma"]
BOTH = ("--config", "compare=[tiny,other]")


def made(checkout):
    """SHA-256 of all that runs made; folders of comparisons have a + in their names."""
    paths = [path for top in ("data", "models", "results", "reports") for path in (checkout.path / top).rglob("*")]
    files = {path.relative_to(checkout.path).as_posix(): path for path in paths if path.is_file()}
    return {name: file_digest(path) for name, path in files.items() if "+" not in name}


def by_image(checkout, run):
    rows = pd.read_parquet(checkout.path / f"results/{run}/certificates.parquet")
    return rows.groupby([*MODEL, "image"])["certified_dice"].mean()


def test_two_runs_are_compared_as_they_are(finished):
    assert finished.stale(*BOTH) == {}
    done = finished.snakemake("compare", *BOTH, check=False)
    assert done.returncode == 1
    assert "no run 'other' in results; the runs here: tiny" in done.output

    finished.snakemake("--config", "run=other", "method=holm")
    before, stale = made(finished), finished.stale()
    output = finished.snakemake("compare", *BOTH).output
    assert "1 of 1 steps (100%) done" in output
    assert "The comparison: reports/tiny+other/index.html" in output
    assert made(finished) == before
    assert finished.stale() == finished.stale(*BOTH) == stale

    folder = finished.path / "reports/tiny+other"
    table = pd.read_csv(folder / "tables/compare.csv", keep_default_na=False, na_values=[""])
    assert list(table["run"]) == ["tiny", "other"] * 8
    for run, rows in table.groupby("run"):
        main = pd.read_csv(finished.path / f"reports/{run}/tables/main.csv", keep_default_na=False)
        for column in ("images", "certified_dice", "certified_dice_low", "worst_case_dice_high", "abstain", "radius"):
            assert list(rows.sort_values(MODEL)[column]) == list(main.sort_values(MODEL)[column]), column
    difference = (by_image(finished, "other") - by_image(finished, "tiny")).groupby(MODEL).mean()
    found = table[table["run"] == "other"].set_index(MODEL)
    assert set(found["paired_images"]) == {3}
    assert dict(found["difference"]) == pytest.approx(dict(difference))
    assert (difference != 0).any()

    page = (folder / "index.html").read_text()
    settings = page[page.index('id="settings"') : page.index('id="results"')]
    assert settings.count("<tr><td") == 1
    assert (
        '<code>method</code></td><td class="text"><code>segcertify</code></td><td class="text"><code>holm' in settings
    )
    assert 'href="../other/index.html"' in page

    command = [sys.executable, "-m", "segcert.cli", "compare", "tiny", "other"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    subprocess.run(command, cwd=finished.path, env=environment, check=True, capture_output=True)
    assert (folder / "index.html").read_text() == page
