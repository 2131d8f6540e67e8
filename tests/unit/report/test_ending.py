"""The three numbers at the end of a run."""

import subprocess
import sys
from pathlib import Path

import pytest

from segcert.report.ending import COLUMNS, ending, headline, read_rows

SCRIPTS = Path(__file__).parents[3] / "scripts"


def row(regime="clean", denoiser="none", sigma="0.5", certified="0.25", abstain="0.125", **others):
    return {
        "dataset": "phantom", "model": "unet", "regime": regime, "denoiser": denoiser, "sigma": sigma,
        "certified_dice": certified, "abstain": abstain,
    } | others  # fmt: skip


def test_three_numbers_of_the_middle_sigma_and_of_the_first_model():
    rows = [
        row("noise", certified="0.5"),
        row(certified="0.25"),
        row(denoiser="ddpm", certified="0.75", abstain="0.0625"),
        row(sigma="0.25"),
        row(sigma="1.0"),
        row(model="resunetpp", certified="0.9"),
        row(dataset="jsrt", certified="0.9"),
    ]
    assert headline(rows) == [
        "phantom, unet, sigma 0.5:",
        "  certified Dice, trained on clean images, no denoiser               0.250",
        "  certified Dice, trained on clean images, behind the denoiser       0.750",
        "  pixels that abstain, trained on clean images, behind the denoiser  6.2%",
    ]


@pytest.mark.parametrize(
    ("rows", "numbers"),
    [
        ([], []),
        ([row()], ["0.250", "12.5%"]),
        ([row(), row("noise", certified="0.5")], ["0.250", "0.500", "12.5%"]),
        ([row("given"), row("given", "adm256")], ["0.250", "0.250", "12.5%"]),
        ([row(denoiser="ddpm", certified="", abstain="nan")], ["no number", "no number"]),
    ],
)
def test_a_run_may_lack_a_denoiser_a_regime_or_a_number(rows, numbers):
    lines = headline(rows)[1:]
    assert len(lines) == len(numbers)
    for line, number in zip(lines, numbers, strict=True):
        assert line.endswith(f" {number}")


def test_a_table_that_lacks_a_column_gives_no_numbers_and_the_page_is_named(tmp_path):
    table = tmp_path / "tables/main.csv"
    assert read_rows(table) == []
    table.parent.mkdir()
    table.write_text("dataset,model\nphantom,unet\n")
    page = f"{tmp_path}/index.html"
    assert ending("tiny", page, "snakemake audit")[1:] == [
        f"The report of the run tiny: {page} (open it in a browser)",
        "Next, audit all files from which the report is made: snakemake audit",
    ]
    table.write_text(",".join(COLUMNS) + "\nphantom,unet,clean,none,0.5,0.25,0.125\n")
    assert "phantom, unet, sigma 0.5:" in ending("tiny", page, "snakemake audit")


def test_the_numbers_cost_snakemake_no_heavy_import():
    program = "import sys, segcert.report.ending; assert not {'pandas', 'matplotlib', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=SCRIPTS, check=True)
