"""The tables of the page: the cells of segcert.results.table_columns in HTML, each number with its exact value."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from segcert.report.format import STYLES, written
from segcert.report.html import cell
from segcert.results.labels import TRAINED
from segcert.results.table_columns import PAGE, Column, shown_columns
from segcert.results.tables import records

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the page: rows of a CSV file, each with its number there and its cells in HTML."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[tuple[int, Sequence[Any]]]


def page_table(name: str, frame: pd.DataFrame, weaker: bool) -> Table:
    """A table as the page shows it: the rows of `frame`, whose index numbers the rows of tables/<name>.csv.

    weaker: whether single certified pixels may be wrong, under which some columns mean nothing.
    """
    columns = shown_columns(name, PAGE, weaker)
    rows = []
    for number, row in zip(frame.index, records(frame), strict=True):
        rows.append((int(number), [_cell(row, column) for column in columns]))
    return Table(name, columns, rows)


def _cell(row: Row, column: Column) -> Any:
    value = row[column.name]
    if column.end:
        return _range(row, column)
    if column.style in STYLES:
        return _number(row, column)
    if column.style == "decided" and not pd.isna(value):
        return f"{row['above']} above {value:g}, {row['below']} below, {row['open']} open"
    return TRAINED[value] if column.style == "regime" else written(value, column.style)


def _number(row: Row, column: Column) -> Markup:
    """A number, with its 95% interval where the column has one here."""
    names = [column.name]
    if PAGE in column.interval:
        names += [f"{column.name}_low", f"{column.name}_high"]
    shown = [cell(row, name, column.style, column.decimals) for name in names]
    return Markup("{} <small>[{}, {}]</small>" if len(shown) > 1 else "{}").format(*shown)  # noqa: S704


def _range(row: Row, column: Column) -> Markup:
    """A certified interval, and of how many images an end is open, where that is known."""
    low, high = (cell(row, name, column.style) for name in (column.name, column.end))
    if not row.get("unbounded"):
        return Markup("{} to {}").format(low, high)
    return Markup("{} to {}; <small>unbounded on {} of {}</small>").format(low, high, row["unbounded"], row["image"])
