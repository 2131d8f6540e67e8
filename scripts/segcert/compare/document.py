"""The differences of two runs as JSON, for machines."""

import dataclasses
import json
from collections.abc import Hashable
from typing import Any

import pandas as pd

from segcert.compare.causes import RecordsDiff
from segcert.compare.numbers import Numbers
from segcert.provenance.lineage import Lineage


def as_document(a: Lineage, b: Lineage, records: RecordsDiff, metrics: Numbers, intervals: Numbers) -> str:
    """All that was compared: causes, moved jobs and files, and the numbers of both runs (null where undefined)."""
    document = {
        "a": _run(a),
        "b": _run(b),
        "same": records.same and metrics.identical and intervals.identical,
        "causes": [dataclasses.asdict(cause) for cause in records.causes],
        "moved": [dataclasses.asdict(job) for job in records.moved],
        "only_a": [job.name for job in records.only_a],
        "only_b": [job.name for job in records.only_b],
        "matched": records.matched,
        "files": records.files,
        "numbers": _numbers(metrics),
        "intervals": _numbers(intervals),
    }
    return json.dumps(document, indent=2, allow_nan=False)


def _run(lineage: Lineage) -> dict[str, Any]:
    return {"checkout": str(lineage.root), "run": lineage.run, "unreadable": lineage.unreadable}


def _numbers(numbers: Numbers) -> dict[str, Any]:
    tables = {"rows": numbers.table, "only_a": numbers.only_a, "only_b": numbers.only_b}
    return {"identical": numbers.identical} | {name: _rows(table) for name, table in tables.items()}


def _rows(table: pd.DataFrame) -> list[dict[Hashable, Any]]:
    return table.astype(object).where(table.notna(), None).to_dict("records")
