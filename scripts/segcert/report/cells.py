"""Cells of a table, from rows and columns: the page, LaTeX and the PDF differ only in their markup."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from segcert.report.format import STYLES, written
from segcert.results.table_columns import Column
from segcert.results.tables import records

Row = Mapping[str, Any]


def plain_number(row: Row, name: str, column: Column) -> str:
    """Return the value of a row in the column `name` of the file, in the style of a column of the table."""
    return written(row[name], column.style, column.decimals)


def plain_word(value: Any, column: Column) -> str:
    """Return text, or a level that a user chose, unchanged."""
    return written(value, column.style)


@dataclasses.dataclass(frozen=True)
class Form:
    """The format of the cells at one place (PAGE, LATEX or PDF of segcert.results.table_columns).

    Attributes
    ----------
    regimes
        Training regimes as text.
    interval
        Pattern of `str.format` for a mean with its 95% interval: `mean`, `low`, `high`.
    ends, open_ends
        Patterns for a certified interval: `low`, `high` and the values of the row. `open_ends` is for intervals that
        are open on some images.
    decided
        Pattern for the decisions on a threshold: the values of the row.
    fill
        Function that inserts values into a pattern.
    number, word
        Functions that format a number of a row, and text.
    """

    place: str
    regimes: Mapping[str, str]
    interval: str
    open_ends: str
    ends: str = "{low} to {high}"
    decided: str = "{above}/{below}/{open} at {threshold:g}"
    fill: Callable[..., Any] = str.format
    number: Callable[[Row, str, Column], Any] = plain_number
    word: Callable[[Any, Column], str] = plain_word

    def cell(self, row: Row, column: Column) -> Any:
        """Return a value of a row, with its 95% interval if the column shows one here."""
        if column.end or column.style in STYLES:
            return self._numbers(row, column)
        value = row[column.name]
        if column.style == "decided":
            return "" if pd.isna(value) else self.decided.format(**row)
        if column.style == "levels":  # the noise level of a claim, or both levels that it compares
            return " to ".join(f"{row[name]:g}" for name in ("sigma_low", "sigma") if not pd.isna(row[name]))
        if column.style == "measured" and isinstance(row["unit"], str) and row["unit"]:
            value = f"{value} ({row['unit']})"
        return self.regimes[value] if column.style == "regime" else self.word(value, column)

    def _numbers(self, row: Row, column: Column) -> Any:
        first = self.number(row, column.name, column)
        if column.end:
            last = self.number(row, column.end, column)
            pattern = self.open_ends if row.get("unbounded") else self.ends
            return self.fill(pattern, **{**row, "low": first, "high": last})
        if self.place not in column.interval:
            return first
        low, high = self.bounds(row, column)
        return self.fill(self.interval, mean=first, low=low, high=high)

    def bounds(self, row: Row, column: Column) -> tuple[Any, Any]:
        """Return the ends of the 95% interval of a column."""
        return self.number(row, f"{column.name}_low", column), self.number(row, f"{column.name}_high", column)


def across(
    rows: pd.DataFrame,
    columns: Sequence[Column],
    sigmas: Sequence[float],
    cell: Callable[[Row, Column], Any],
    missing: Any,
) -> list[Any]:
    """Return the cells of one model side by side: all columns of the first noise level, then those of the next.

    rows: one for each noise level. missing: the cell of a level without a row.
    """
    by_sigma = {row["sigma"]: row for row in records(rows)}
    cells = []
    for sigma in sigmas:
        for column in columns:
            cells.append(cell(by_sigma[sigma], column) if sigma in by_sigma else missing)
    return cells
