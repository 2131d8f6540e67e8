"""The tables of a run, condensed to fit in the PDF summary. A note below each table states what is omitted."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pandas as pd

from segcert.certification.methods import METHODS
from segcert.report.captions import TABLES, definitions
from segcert.report.cells import Form, across
from segcert.report.format import number, shorten, written
from segcert.results.labels import REGIMES
from segcert.results.table_columns import PDF, Column, shown_columns
from segcert.results.tables import PAIRING, records

FULL_ROWS, FULL_SIGMAS = 12, 3  # largest numbers of pairings and noise levels in a full main table
BLOCK_COLUMNS, BLOCK_ROWS, BLOCKS = 15, 16, 2  # the same for columns, rows and blocks of a condensed table
CLAIMS, MEASURED = 8, 8  # largest numbers of rows of the claims table and of the measurement table
SENTENCE = 110  # largest number of characters of a claim
MISSING = "–"  # content of a cell for a missing noise level
MOST = {"claim": SENTENCE, "measurement": 34}  # largest numbers of characters in wide columns


def _word(value: Any, column: Column) -> str:
    if column.style == "level" and pd.isna(value):
        return "all"
    return shorten(written(value, column.style), MOST.get(column.name, 24))


FORM = Form(PDF, REGIMES, interval="{mean} [{low}, {high}]", open_ends="{low} to {high}*", word=_word)


@dataclasses.dataclass(frozen=True)
class Condensed:
    """A table in the summary.

    Attributes
    ----------
    heads, rows
        The column headings, and the rows of cells.
    left
        Number of leading columns that are left-aligned.
    note
        Explanation of the numbers and of what is omitted.
    spans
        Headings above the column headings, with the number of columns below each heading.
    further
        Continuation of the table, printed below it.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int
    note: str
    spans: Sequence[tuple[str, int]] = ()
    further: "Condensed | None" = None


def results_table(main: pd.DataFrame) -> Condensed:
    """Return the full main table if it is small. Otherwise, return only certified Dice, with data sets side by side."""
    sigmas = list(main["sigma"].drop_duplicates())
    if len(main[PAIRING].drop_duplicates()) <= FULL_ROWS and len(sigmas) <= FULL_SIGMAS:
        return _full(main, sigmas)
    return _condensed(main, sigmas)


def _full(main: pd.DataFrame, sigmas: Sequence[float]) -> Condensed:
    columns = shown_columns("main", PDF, weaker=METHODS[main["method"].iloc[0]].weaker)
    dice, *noisy = columns  # `dice` is measured without noise, so it is the same at each sigma
    names = [key for key in ("dataset", "model") if main[key].nunique() > 1]
    rows = []
    for _, pairing_rows in main.groupby(PAIRING, sort=False):
        first = records(pairing_rows)[0]
        cells = [*(shorten(first[name]) for name in names), REGIMES[first["regime"]], first["denoiser"]]
        cells.append(FORM.cell(first, dice))
        rows.append(cells + across(pairing_rows, noisy, sigmas, FORM.cell, MISSING))
    heads = ["data set" if name == "dataset" else name for name in names]
    heads += ["trained", "denoiser", dice.title, *([column.latex or column.title for column in noisy] * len(sigmas))]
    return Condensed(
        heads=heads,
        rows=rows,
        left=len(names) + 2,
        spans=[("", len(names) + 3), *((f"σ = {sigma:g}", len(noisy)) for sigma in sigmas)],
        note=f"{TABLES['main']} {definitions(columns)} For more columns, see tables/main.csv or tables/main.tex.",
    )


def _condensed(main: pd.DataFrame, sigmas: Sequence[float]) -> Condensed:
    sigmas = sigmas[:BLOCK_COLUMNS]
    datasets, names = list(main["dataset"].drop_duplicates()), list(main["model"].drop_duplicates())
    pairings = main[PAIRING[1:]].drop_duplicates().itertuples(index=False, name=None)
    models = sorted(pairings, key=lambda row: names.index(row[0]))
    across = max(1, BLOCK_COLUMNS // len(sigmas))
    blocks = [datasets[start : start + across] for start in range(0, len(datasets), across)]
    lines = BLOCK_ROWS if len(blocks) == 1 else BLOCK_ROWS // BLOCKS
    values = main.set_index([*PAIRING, "sigma"])["certified_dice"].to_dict()

    kept, tables = 0, []
    for block in blocks[:BLOCKS]:
        rows: list[list[str]] = []
        before = None
        for model, regime, denoiser in models[:lines]:
            cells = [shorten(model) if model != before else "", REGIMES[regime], denoiser]
            before = model
            for dataset in block:
                for sigma in sigmas:
                    key = (dataset, model, regime, denoiser, sigma)
                    kept += key in values
                    cells.append(number(values[key], 2) if key in values else MISSING)
            rows.append(cells)
        heads = ["model", "trained", "denoiser", *([f"{sigma:g}" for sigma in sigmas] * len(block))]
        spans = [(shorten(dataset, 4 + 5 * len(sigmas)), len(sigmas)) for dataset in block]
        tables.append(Condensed(heads, rows, left=3, note="", spans=[("", 3), *spans]))
    left_out = "" if kept == len(values) else f" {len(values) - kept} of {len(values)} rows are left out."
    note = (
        "Certified Dice (pixels that abstain are missing from the prediction): means over test images, and over classes"
        f" within an image. Columns are noise levels σ.{left_out} For intervals, Dice, abstention and all rows,"
        " see tables/main.csv or tables/main.tex."
    )
    table = dataclasses.replace(tables.pop(), note=note)  # the note is below the last block
    for above in reversed(tables):
        table = dataclasses.replace(above, further=table)
    return table


def claims_table(claims: pd.DataFrame) -> Condensed:
    """Return the claims with their differences and verdicts or, if there are many rows, with numbers of verdicts."""
    if len(claims) <= CLAIMS:
        columns = shown_columns("claims", PDF, weaker=False)
        return Condensed(
            heads=[column.title for column in columns],
            rows=[[FORM.cell(row, column) for column in columns] for row in records(claims)],
            left=3,
            note=f"{TABLES['claims']} For the reasons for the verdicts, see tables/claims.csv.",
        )
    verdicts = list(claims["verdict"].drop_duplicates())
    names = list(claims["claim"].drop_duplicates())
    counts = pd.crosstab(claims["claim"], claims["verdict"])
    rows = []
    for name in names[:CLAIMS]:
        rows.append([shorten(name, SENTENCE), *(str(counts.loc[name, verdict]) for verdict in verdicts)])
    left_out = f" {len(names) - CLAIMS} of {len(names)} claims are left out." if len(names) > CLAIMS else ""
    return Condensed(
        heads=["claim", *(shorten(verdict) for verdict in verdicts)],
        rows=rows,
        left=1,
        note="Numbers of tests with each verdict. There is a test for each data set, model and σ. Verdicts are based "
        f"on 95% confidence intervals of paired differences.{left_out} For all tests, see tables/claims.csv.",
    )


def measured_table(measurements: pd.DataFrame, main: pd.DataFrame) -> Condensed:
    """Return the certified intervals at each noise level for the pairing with the highest certified Dice.

    The pairing is chosen separately for each data set.
    """
    means = main.groupby(PAIRING, sort=False)["certified_dice"].mean()
    best = {key[0]: key for key in means.sort_values(kind="stable").dropna().index}
    is_best = [best.get(row[0]) == row for row in measurements[PAIRING].itertuples(index=False, name=None)]
    chosen = measurements[pd.Series(is_best, index=measurements.index, dtype=bool)]
    sigmas = list(chosen["sigma"].drop_duplicates())[:FULL_SIGMAS]
    groups = list(chosen.groupby(["dataset", "measurement", "unit"], sort=False, dropna=False))
    order = list(main["dataset"].drop_duplicates())
    shown = sorted(_in_turn(groups)[:MEASURED], key=lambda group: order.index(group[0][0]))
    name, truth, interval = shown_columns("measurements", PDF, weaker=False)
    rows = []
    for (dataset, _, _), measured in shown:
        first = records(measured)[0]
        _, model, regime, denoiser = best[dataset]
        cells = [shorten(dataset), f"{shorten(model)}, {REGIMES[regime]}, {denoiser}"]
        cells += [FORM.cell(first, name), FORM.cell(first, truth)]
        rows.append(cells + across(measured, [interval], sigmas, FORM.cell, MISSING))
    left_out = open_ends = ""
    if len(groups) > len(shown):
        left_out = f" {len(groups) - len(shown)} of {len(groups)} measurements are left out."
    if any("*" in cell for row in rows for cell in row):
        open_ends = " *: unbounded on some images."
    return Condensed(
        heads=["data set", "model, trained, denoiser", "measurement", "truth", *(f"σ = {sigma:g}" for sigma in sigmas)],
        rows=rows,
        left=3,
        note=(
            "Certified intervals for the pairing with the highest certified Dice on each data set: means over test"
            " images. Each interval bounds the median over noisy copies under any perturbation within the radius, not a"
            f" single prediction.{open_ends}{left_out} For all measurements, see tables/measurements.csv."
        ),
    )


def _in_turn(groups: Sequence[tuple[Any, pd.DataFrame]]) -> list[tuple[Any, pd.DataFrame]]:
    """Return the first group of each data set, then the second group of each, and so on, to include every data set."""
    datasets = pd.DataFrame({"dataset": [dataset for (dataset, *_), _ in groups]})
    ranks = datasets.groupby("dataset", sort=False).cumcount()
    return [groups[place] for place in ranks.sort_values(kind="stable").index]
