"""Check the report's numbers: recompute the tables from the certificates, and compare the page with the tables."""

import decimal
import functools
import io
import math
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from segcert.audit.findings import Evidence, Finding, Findings, changed_code, finding_unless
from segcert.provenance.lineage import Job
from segcert.results.kinds import kind_of, read_rows
from segcert.results.tables import TABLES, make_table, read_table, read_tables

TOLERANCE = 1e-9  # relative difference that other versions of pandas or numpy, or another machine, may cause


def check_collection(evidence: Evidence) -> Findings:
    """Check that certificates.parquet and the other collected tables contain the rows of the certificates."""
    for job in evidence.lineage.jobs:
        if job.rule == "collect":
            for output in job.outputs:
                tables = [path for path in job.inputs if path.endswith(".parquet")]
                parts = [evidence.root / path for path in tables if kind_of(path) == kind_of(output)]
                yield changed_code(job) or _compare_table(evidence.root, output, functools.partial(read_rows, parts))


def check_tables(evidence: Evidence) -> Findings:
    """Recompute the report's tables from certificates.parquet and the other collected tables.

    The recomputed tables are compared with the tables in the report.
    """
    for job in evidence.lineage.jobs:
        if job.rule == "tables":
            outputs = {Path(path).stem: path for path in job.outputs if path.endswith(".csv")}
            read = functools.cache(functools.partial(_read_source, evidence.root, job))
            for name in TABLES:
                made = functools.partial(make_table, name, read)
                yield changed_code(job) or _compare_table(evidence.root, outputs[name], made)


def check_page(evidence: Evidence) -> Findings:
    """Check that each number on the page matches the CSV file to the digits shown, and that no row is missing."""
    page = f"reports/{evidence.lineage.run}/index.html"
    if page not in evidence.lineage.makers or not (evidence.root / page).exists():
        return
    tables: dict[str, pd.DataFrame] = {}
    seen: dict[str, list[int]] = {"main": []}
    reader = _Reader()
    reader.feed((evidence.root / page).read_text(encoding="utf-8", errors="replace"))
    for name, row, column, value, text, in_table in reader.found:
        if name not in tables:
            tables[name] = _read_csv(evidence.root / f"reports/{evidence.lineage.run}/tables/{name}.csv")
        table = tables[name]
        if in_table and row not in seen.setdefault(name, []):
            seen[name].append(row)
        if not 0 <= row < len(table) or column not in table:
            yield Finding(page, f"shows {column} of row {row} of {name}.csv, which has no such cell")
            continue
        stated = float(table[column].iloc[row])
        message = f"shows {text} ({value}), but {column} in row {row} of {name}.csv is {stated}"
        yield finding_unless(_matches(value, text, stated), page, message)
    for name, rows in seen.items():
        complete = rows == list(range(len(tables.get(name, ()))))
        yield finding_unless(complete and rows, page, f"does not show every row of {name}.csv once and in order")


def _read_source(root: Path, job: Job, source: str) -> pd.DataFrame:
    """Return the rows that a job of the rule `tables` read from a table's source (see `results.tables.Recipe`)."""
    if source == "main":
        return read_tables(root / path for path in job.outputs if path.endswith("/main.csv"))
    folders = {"scores": "/denoiser_scores/", "costs": "/costs/"}
    if source in folders:
        return read_tables(root / path for path in job.inputs if folders[source] in path)
    tables = [path for path in job.inputs if path.endswith(".parquet")]
    return read_rows(root / path for path in tables if kind_of(path) == source)


def _compare_table(root: Path, output: str, make: Callable[[], pd.DataFrame]) -> Finding | None:
    """Return a finding unless a table equals the recomputed table."""
    try:
        written = pd.read_parquet(root / output) if output.endswith(".parquet") else _read_csv(root / output)
        made = make()
        if output.endswith(".csv"):
            made = _read_csv(io.StringIO(made.to_csv(index=False)))
        if len(made) or len(written):
            pd.testing.assert_frame_equal(made, written, rtol=TOLERANCE, atol=0)
    except AssertionError as error:
        difference = " ".join(str(error).partition("[index]")[0].split())
        return Finding(output, f"does not follow from its inputs: {difference}")
    except (OSError, ValueError, KeyError) as error:
        return Finding(output, "cannot be recomputed", error=str(error))
    return None


def _read_csv(source: Path | io.StringIO) -> pd.DataFrame:
    try:
        return read_table(source)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()


def _matches(value: str, text: str, stated: float) -> bool:
    """Return True if a number on the page is correct: `value` equals `stated`, and `text` is `stated`, rounded."""
    share = 100 if text.endswith("%") else 1
    try:
        if math.isnan(stated):
            return math.isnan(float(value)) and text == "n/a"
        if float(value) != stated:
            return False
        if math.isinf(stated):
            return text == f"{stated:g}"
        shown = decimal.Decimal(text.removesuffix("%"))
        half = decimal.Decimal(5).scaleb(int(shown.as_tuple().exponent) - 1)
    except (decimal.InvalidOperation, ValueError):
        return False
    return abs(shown - share * decimal.Decimal(stated)) <= half * (1 + decimal.Decimal(TOLERANCE))


class _PageNumber(NamedTuple):
    """A number on the page: its table, row and column, its exact value, and its text."""

    table: str
    row: int
    column: str
    value: str
    text: str
    in_table: bool  # False for a number in a sentence


class _Reader(HTMLParser):
    """Parser for `<data>` elements in table rows and in sentences. Elements in sentences name their table and row."""

    def __init__(self) -> None:
        super().__init__()
        self.row: tuple[str, int] | None = None
        self.number: _PageNumber | None = None
        self.found: list[_PageNumber] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = {name: value or "" for name, value in attrs}
        named = (about["data-table"], int(about["data-row"])) if "data-table" in about else None
        if tag == "tr":
            self.row = named
        elif tag == "data" and (cell := named or self.row):
            self.number = _PageNumber(*cell, about["data-column"], about["value"], "", in_table=not named)

    def handle_data(self, data: str) -> None:
        if self.number:
            self.number = self.number._replace(text=self.number.text + data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "data" and self.number:
            self.found.append(self.number)
            self.number = None
