"""The text of table cells. Cells on the page, in the LaTeX files and in the PDF summary only differ in their markup."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from segcert.report.format import STYLES, written
from segcert.results.table_columns import Column
from segcert.results.tables import records

Row = Mapping[str, Any]


def plain_number(row: Row, name: str, column: Column) -> str:
    """Format the value of the CSV column `name` in a row, in the style of the table column `column`."""
    return written(row[name], column.style, column.decimals)


def plain_word(value: Any, column: Column) -> str:
    """Format a text, or a number that a user chose (such as sigma), without rounding."""
    return written(value, column.style)


@dataclasses.dataclass(frozen=True)
class Form:
    """Format of table cells on the page, in the LaTeX files or in the PDF summary.

    Attributes
    ----------
    place
        Place where the cells are shown: PAGE, LATEX or PDF (segcert.results.table_columns).
    regimes
        Names of the training regimes for display.
    interval
        Pattern for a mean with its 95% interval, with the fields `mean`, `low` and `high`. All patterns are for
        `str.format`.
    ends, open_ends
        Patterns for a certified interval. Their fields are `low`, `high` and the columns of the row. `open_ends` is
        used if the interval is unbounded on some images.
    decided
        Pattern for the decisions on a threshold. Its fields are the columns of the row.
    undefined
        Pattern for a number of images. Its fields are `number`, and the number `count` of images without a certified
        Dice.
    fill
        Function that inserts values into a pattern.
    number, word
        `number` is a function that formats a number from a row, and `word` is a function that formats a text.
    """

    place: str
    regimes: Mapping[str, str]
    interval: str
    open_ends: str
    ends: str = "{low} to {high}"
    decided: str = "{above}/{below}/{open} at {threshold:g}, {right}/{wrong}"
    undefined: str = "{number} ({count} undefined)"
    fill: Callable[..., Any] = str.format
    number: Callable[[Row, str, Column], Any] = plain_number
    word: Callable[[Any, Column], str] = plain_word

    def cell(self, row: Row, column: Column) -> Any:
        """Format the value of a column in a row, with its 95% interval if the interval is shown at this place."""
        if column.end or column.style in STYLES:
            return self._numbers(row, column)
        value = row[column.name]
        if column.style == "decided":
            return "" if pd.isna(value) else self.decided.format(**row)
        if column.style == "levels":  # one noise level, or the two noise levels that are compared
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
        if column.undefined and row[column.undefined]:
            return self.fill(self.undefined, number=first, count=self.number(row, column.undefined, column))
        if self.place not in column.interval:
            return first
        low, high = self.bounds(row, column)
        return self.fill(self.interval, mean=first, low=low, high=high)

    def bounds(self, row: Row, column: Column) -> tuple[Any, Any]:
        """Format both ends of the 95% interval of a column."""
        return self.number(row, f"{column.name}_low", column), self.number(row, f"{column.name}_high", column)


def across(
    rows: pd.DataFrame,
    columns: Sequence[Column],
    sigmas: Sequence[float],
    cell: Callable[[Row, Column], Any],
    missing: Any,
) -> list[Any]:
    """Return the cells of a table row in which noise levels are side by side.

    All columns for a noise level are followed by all columns for the next. `rows` contains a row per noise level.
    `missing` is the content of a cell for a noise level without a row.
    """
    by_sigma = {row["sigma"]: row for row in records(rows)}
    cells = []
    for sigma in sigmas:
        for column in columns:
            cells.append(cell(by_sigma[sigma], column) if sigma in by_sigma else missing)
    return cells
