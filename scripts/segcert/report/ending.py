"""The three main numbers of a run, which are printed in the terminal when the run ends.

The main Snakemake process imports this module, so it avoids the slow import of pandas.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from segcert.results.labels import BEHIND, TRAINED

COLUMNS = ("dataset", "model", "regime", "denoiser", "sigma", "certified_dice", "abstain")
Row = Mapping[str, str]


def ending(run: str, page: str, check: str) -> list[str]:
    """Return the last lines of a run's output: the main numbers, the page, and the audit command."""
    return [
        "",
        *headline(read_rows(Path(page).parent / "tables/main.csv")),
        f"The report of the run {run}: {page} (open it in a browser)",
        f"Next, audit all files from which the report is made: {check}",
    ]


def read_rows(path: Path) -> list[Row]:
    """Return the rows of the main table, or an empty list if the file is missing or lacks a column."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[Row] = list(csv.DictReader(file))
    return rows if rows and set(COLUMNS) <= set(rows[0]) else []


def headline(rows: Sequence[Row]) -> list[str]:
    """Return the main numbers as text: a line with the first model and the middle sigma, and at most three numbers.

    The numbers are certified Dice without the denoiser, certified Dice behind the denoiser, and abstention. They are
    about the network trained on clean images, if the run has this network. If the run has no denoiser, the second
    certified Dice is that of the next training regime.
    """
    if not rows:
        return []
    sigmas = sorted({float(row["sigma"]) for row in rows})
    sigma = sigmas[len(sigmas) // 2]
    dataset, model = rows[0]["dataset"], rows[0]["model"]
    of_model = [row for row in rows if (row["dataset"], row["model"], float(row["sigma"])) == (dataset, model, sigma)]
    regimes = dict.fromkeys(row["regime"] for row in of_model)
    regime = "clean" if "clean" in regimes else next(iter(regimes), "")
    chosen = sorted(of_model, key=lambda row: (row["regime"] != regime, row["denoiser"] != "none"))[:2]
    numbers = [(f"certified Dice, {_setup(row)}", _number(row["certified_dice"], "{:.3f}")) for row in chosen]
    if chosen:
        last = chosen[-1]
        numbers.append((f"pixels that abstain, {_setup(last)}", _number(last["abstain"], "{:.1%}")))
    width = max((len(what) for what, _ in numbers), default=0)
    return [f"{dataset}, {model}, sigma {sigma:g}:", *(f"  {what:<{width}}  {number}" for what, number in numbers)]


def _setup(row: Row) -> str:
    trained = TRAINED.get(row["regime"], row["regime"])
    return f"trained {trained}, {BEHIND.get(row['denoiser'], row['denoiser'])}"


def _number(text: str, form: str) -> str:
    value = float(text) if text else math.nan
    return "no number" if math.isnan(value) else form.format(value)
