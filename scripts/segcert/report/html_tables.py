"""The tables of the page: the cells of segcert.results.table_columns in HTML, each number with its exact value."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from segcert.report.cells import Form, Row
from segcert.report.html import cell
from segcert.results.labels import TRAINED
from segcert.results.table_columns import PAGE, Column, shown_columns
from segcert.results.tables import records


def _fill(pattern: str, **values: Any) -> Markup:
    return Markup(pattern).format(**values)  # noqa: S704


def _number(row: Row, name: str, column: Column) -> Markup:
    return cell(row, name, column.style, column.decimals)


FORM = Form(
    PAGE,
    regimes=TRAINED,
    interval="{mean} <small>[{low}, {high}]</small>",
    open_ends="{low} to {high}; <small>unbounded on {unbounded} of {image}</small>",
    decided="{above} above {threshold:g}, {below} below, {open} open",
    fill=_fill,
    number=_number,
)


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
        rows.append((int(number), [FORM.cell(row, column) for column in columns]))
    return Table(name, columns, rows)
