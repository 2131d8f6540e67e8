"""The tables of a run condensed, so that they fit the summary; what is left out is said below each."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from segcert.report.html import digits, number, percent, signed
from segcert.results.labels import REGIMES

PAIRING = ["dataset", "model", "regime", "denoiser"]
FULL_ROWS, FULL_SIGMAS = 12, 3  # up to which the main table is shown as it is
BLOCK_COLUMNS, BLOCK_ROWS, BLOCKS = 15, 16, 2  # of the condensed one
CLAIMS, MEASURED = 8, 8  # rows
NAME, SENTENCE = 24, 110  # characters


@dataclasses.dataclass(frozen=True)
class Condensed:
    """Rows of cells below heads; spans: heads above them, with the number of columns below each. left: columns of text.

    note: what the numbers are, and what is left out.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int
    note: str
    spans: Sequence[tuple[str, int]] = ()
    further: "Condensed | None" = None

    def as_data(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)


def shorten(text: str, most: int = NAME) -> str:
    """At most so many characters.

    >>> shorten("a long name", 7)
    'a long…'
    """
    flat = " ".join(str(text).split())
    return flat if len(flat) <= most else f"{flat[: most - 1].rstrip()}…"


def results_table(main: pd.DataFrame) -> Condensed:
    """The main table as it is if it is small; or certified Dice alone, the data sets beside each other."""
    pairings = main[PAIRING].drop_duplicates()
    sigmas = list(main["sigma"].drop_duplicates())
    if len(pairings) <= FULL_ROWS and len(sigmas) <= FULL_SIGMAS:
        return _full(main, sigmas)
    return _condensed(main, sigmas)


def _full(main: pd.DataFrame, sigmas: Sequence[float]) -> Condensed:
    names = [key for key in ("dataset", "model") if main[key].nunique() > 1]
    rows = []
    for _, rows_of in main.groupby(PAIRING, sort=False):
        first, by_sigma = rows_of.iloc[0], {row["sigma"]: row for row in rows_of.to_dict("records")}
        cells = [
            *(shorten(first[name]) for name in names),
            REGIMES[first["regime"]],
            first["denoiser"],
            number(first["dice"]),
        ]
        for sigma in sigmas:
            row = by_sigma.get(sigma)
            cells += ["–", "–"] if row is None else [
                _with_interval(row, "certified_dice", number),
                percent(row["abstain"], 1),
            ]  # fmt: skip
        rows.append(cells)
    heads = ["data set" if name == "dataset" else name for name in names]
    return Condensed(
        heads=[
            *heads,
            "trained",
            "denoiser",
            "Dice",
            *itertools.chain(*(["certified Dice", "abstains"] for _ in sigmas)),
        ],
        rows=rows,
        left=len(names) + 2,
        spans=[("", len(names) + 3), *((f"σ = {sigma:g}", 2) for sigma in sigmas)],
        note=(
            "Means over test images (and over classes within an image); in brackets 95% bootstrap intervals over"
            " images. Dice: of the network on clean images, not certified. Certified Dice: abstained pixels are missing"
            " from the prediction. More columns: tables/main.csv, tables/main.tex."
        ),
    )


def _condensed(main: pd.DataFrame, sigmas: Sequence[float]) -> Condensed:
    sigmas = sigmas[:BLOCK_COLUMNS]
    datasets = list(main["dataset"].drop_duplicates())
    names = list(main["model"].drop_duplicates())
    pairings = main[PAIRING[1:]].drop_duplicates().itertuples(index=False)
    models = sorted((tuple(row) for row in pairings), key=lambda row: names.index(row[0]))
    across = max(1, BLOCK_COLUMNS // len(sigmas))
    blocks = [datasets[start : start + across] for start in range(0, len(datasets), across)]
    lines = BLOCK_ROWS if len(blocks) == 1 else BLOCK_ROWS // BLOCKS
    shown = blocks[:BLOCKS]
    values = main.set_index([*PAIRING, "sigma"])["certified_dice"].to_dict()
    total = main[[*PAIRING, "sigma"]].drop_duplicates().shape[0]
    kept = sum(
        (dataset, *model, sigma) in values
        for block in shown
        for dataset in block
        for model in models[:lines]
        for sigma in sigmas
    )
    left_out = "" if kept == total else f" {total - kept} of {total} rows are left out."
    note = (
        "Certified Dice (abstained pixels are missing from the prediction): means over test images and over classes"
        f" within an image; columns: σ.{left_out} Intervals, Dice, abstention and every row: tables/main.csv,"
        " tables/main.tex."
    )
    table = None
    for block in reversed(shown):
        table = Condensed(
            heads=["model", "trained", "denoiser", *(f"{sigma:g}" for _ in block for sigma in sigmas)],
            rows=[
                [shorten(model) if model != before else "", REGIMES[regime], denoiser]
                + [
                    number(values[key], 2) if (key := (dataset, model, regime, denoiser, sigma)) in values else "–"
                    for dataset in block
                    for sigma in sigmas
                ]
                for (model, regime, denoiser), before in zip(
                    models[:lines], [None, *(row[0] for row in models)], strict=False
                )
            ],
            left=3,
            spans=[("", 3), *((shorten(dataset, 4 + 5 * len(sigmas)), len(sigmas)) for dataset in block)],
            note=note if table is None else "",
            further=table,
        )
    assert table is not None
    return table


def claims_table(claims: pd.DataFrame) -> Condensed:
    """Each claim with its difference and verdict; of many rows, how often each verdict was given."""
    if len(claims) <= CLAIMS:
        rows = [
            [shorten(row["claim"], SENTENCE), shorten(row["dataset"]), shorten(row["model"]), _sigma(row["sigma"]),
             f"{row['images']:.0f}",
             _with_interval(row, "difference", signed),
             shorten(row["verdict"])]
            for row in claims.to_dict("records")
        ]  # fmt: skip
        return Condensed(
            heads=["claim", "data set", "model", "σ", "images", "difference", "verdict"], rows=rows, left=3,
            note="Differences with 95% intervals from a paired bootstrap over images. Why: tables/claims.csv.",
        )  # fmt: skip
    verdicts = list(claims["verdict"].drop_duplicates())
    names = list(claims["claim"].drop_duplicates())
    counts = pd.crosstab(claims["claim"], claims["verdict"])
    left_out = f" {len(names) - CLAIMS} of {len(names)} claims are left out." if len(names) > CLAIMS else ""
    return Condensed(
        heads=["claim", *(shorten(verdict) for verdict in verdicts)],
        rows=[
            [shorten(name, SENTENCE), *(str(counts.loc[name, verdict]) for verdict in verdicts)]
            for name in names[:CLAIMS]
        ],
        left=1,
        note=f"In how many of the tests (data set, model, σ) each verdict was given, by 95% intervals from a paired"
        f" bootstrap over images.{left_out} Each test, and why: tables/claims.csv.",
    )


def measured_table(measurements: pd.DataFrame, main: pd.DataFrame) -> Condensed:
    """Certified intervals per noise level, of the pairing of each data set with the highest certified Dice."""
    keys = ["dataset", "measurement"]
    means = main.groupby(PAIRING, sort=False)["certified_dice"].mean()
    best = {key[0]: key for key in means.sort_values(kind="stable").dropna().index}
    of_best = [best.get(row[0]) == tuple(row) for row in measurements[PAIRING].itertuples(index=False)]
    chosen = measurements[pd.Series(of_best, index=measurements.index, dtype=bool)]
    sigmas = list(chosen["sigma"].drop_duplicates())[:FULL_SIGMAS]
    groups = list(chosen.groupby(keys, sort=False))
    order = list(main["dataset"].drop_duplicates())
    shown = sorted(_in_turn(groups)[:MEASURED], key=lambda group: order.index(group[0][0]))
    rows = []
    for (dataset, measurement), of_both in shown:
        unit = of_both.iloc[0]["unit"]
        by_sigma = {row["sigma"]: row for row in of_both.to_dict("records")}
        name = f"{measurement} ({unit})" if isinstance(unit, str) and unit else measurement
        cells = [
            f"{digits(row['low'])} to {digits(row['high'])}{'*' if row['unbounded'] else ''}"
            if (row := by_sigma.get(sigma))
            else "–"
            for sigma in sigmas
        ]
        pairing = best[dataset]
        rows.append([shorten(dataset), f"{shorten(pairing[1])}, {REGIMES[pairing[2]]}, {pairing[3]}", shorten(name, 34),
                     digits(of_both.iloc[0]["truth"]), *cells])  # fmt: skip
    left_out = (
        f" {len(groups) - len(shown)} of {len(groups)} measurements are left out." if len(groups) > len(shown) else ""
    )
    open_ends = " *: unbounded on some images." if any("*" in cell for row in rows for cell in row) else ""
    return Condensed(
        heads=["data set", "model, trained, denoiser", "measurement", "truth", *(f"σ = {sigma:g}" for sigma in sigmas)],
        rows=rows,
        left=3,
        note=(
            "Certified intervals, means over test images, of the pairing of each data set with the highest certified"
            f" Dice. They hold the median over the noise, not a single prediction.{open_ends}{left_out} All:"
            " tables/measurements.csv."
        ),
    )


def _in_turn(groups: Sequence[tuple[Any, pd.DataFrame]]) -> list[tuple[Any, pd.DataFrame]]:
    """The first of each data set, then the second of each, so that none is left out for another."""
    seen: dict[str, int] = {}
    ranks = []
    for (dataset, _), _rows in groups:
        seen[dataset] = seen.get(dataset, 0) + 1
        ranks.append(seen[dataset])
    return [group for _, group in sorted(zip(ranks, groups, strict=True), key=lambda pair: pair[0])]


def _with_interval(row: Mapping[Any, Any], name: str, shown: Callable[[float], str]) -> str:
    return f"{shown(row[name])} [{shown(row[f'{name}_low'])}, {shown(row[f'{name}_high'])}]"


def _sigma(value: Any) -> str:
    return "all" if pd.isna(value) else f"{value:g}" if isinstance(value, int | float) else shorten(value, 12)
