"""Tables on the results page, as HTML, with the columns of segcert.results.table_columns.

For each number that is shown, the markup also contains the exact value, which is checked in the audit.
"""

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
    decided="{above} above {threshold:g}, {below} below, {open} open; {right} right, {wrong} wrong",
    undefined="{number} <small>({count} undefined)</small>",
    fill=_fill,
    number=_number,
)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table on the results page. A row consists of the row number in the CSV file and the cells as HTML."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[tuple[int, Sequence[Any]]]


def page_table(name: str, frame: pd.DataFrame, weaker: bool) -> Table:
    """Convert `frame` to a table for the results page. The index of `frame` is the row number in tables/<name>.csv.

    If `weaker` is True, some certified pixels may be wrong, and columns that are meaningless in this case are omitted.
    """
    columns = shown_columns(name, PAGE, weaker)
    rows = []
    for number, row in zip(frame.index, records(frame), strict=True):
        rows.append((int(number), [FORM.cell(row, column) for column in columns]))
    return Table(name, columns, rows)
