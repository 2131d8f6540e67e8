"""Differences between two runs, as text for a terminal of 100 columns and as JSON."""

import collections
import dataclasses
import json
import math
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from segcert.compare.numbers import Numbers
from segcert.compare.records import ABSENT, Cause, ChangedJob, RecordsDiff
from segcert.provenance.lineage import Lineage
from segcert.results.tables import MODEL

WIDTH = 100
MOST_ROWS = 24  # maximum number of rows for each metric: those with the largest differences
MOST_NAMES = 3  # maximum number of names of jobs that only one run contains
SHORT = 40  # longest value that is shown in full, in characters


def to_json(a: Lineage, b: Lineage, records: RecordsDiff, metrics: Numbers, intervals: Numbers) -> str:
    """Return the comparison of two runs as JSON: causes, changed jobs and files, and numbers (null if undefined)."""
    document = {
        "a": {"checkout": str(a.root), "run": a.run, "unreadable": a.unreadable},
        "b": {"checkout": str(b.root), "run": b.run, "unreadable": b.unreadable},
        "same": records.same and metrics.identical and intervals.identical,
        "causes": [dataclasses.asdict(cause) for cause in records.causes],
        "moved": [dataclasses.asdict(job) for job in records.changed_jobs],
        "only_a": [job.name for job in records.only_a],
        "only_b": [job.name for job in records.only_b],
        "matched": records.matched,
        "files": records.files,
        "numbers": _numbers_as_json(metrics),
        "intervals": _numbers_as_json(intervals),
    }
    return json.dumps(document, indent=2, allow_nan=False)


def _numbers_as_json(numbers: Numbers) -> dict[str, Any]:
    tables = {"rows": numbers.table, "only_a": numbers.only_a, "only_b": numbers.only_b}
    document: dict[str, Any] = {"identical": numbers.identical}
    for name, table in tables.items():
        document[name] = table.astype(object).where(table.notna(), None).to_dict("records")
    return document | {"missing_a": numbers.missing_a, "missing_b": numbers.missing_b}


def to_text(a: Lineage, b: Lineage, records: RecordsDiff, metrics: Numbers, intervals: Numbers) -> str:
    """Return the comparison of two runs as text: causes, changed files and numbers."""
    lines = [f"A  {_about(a)}", f"B  {_about(b)}", "", *_causes(records), "", *_files(records), ""]
    return "\n".join([*lines, *_metrics(metrics), *_intervals(intervals)])


def _about(lineage: Lineage) -> str:
    ended = max((str(job.record["ended"]) for job in lineage.jobs), default="")
    unreadable = f"; {len(lineage.unreadable)} files are not valid run records" if lineage.unreadable else ""
    return f"{lineage.run} in {lineage.root}: {len(lineage.jobs)} jobs, the last ended {ended}{unreadable}"


def _causes(records: RecordsDiff) -> Iterator[str]:
    causes = [cause for cause in records.causes if cause.kind != "git"]
    if causes or records.only_a or records.only_b:
        yield "Differences, earliest cause first"
    else:
        yield "Inputs, parameters, code, packages and settings: identical"
    for cause in causes:
        yield from _wrap(f"  {cause.kind:<10}", f"{cause.name}: {_change(cause)}")
        effect = "; this changes no file" if cause.moved == 0 else ""
        yield from _wrap(" " * 14, f"in {_count_jobs(cause.places)}{effect}")
    for side, jobs in (("A", records.only_a), ("B", records.only_b)):
        if jobs:
            names = [job.name for job in jobs[:MOST_NAMES]]
            if len(jobs) > MOST_NAMES:
                names.append("...")
            counts = collections.Counter(job.rule for job in jobs)
            yield from _wrap(f"  only in {side} ", f"{_count_jobs(counts)}: {', '.join(names)}")
    for cause in records.causes:
        if cause.kind == "git":
            # first 12 digits of the commit, followed by "with changes" if files were changed
            old, new = (" ".join([state[:12], *state.split()[1:]]) for state in (cause.old, cause.new))
            yield from _wrap("  git       ", f"{_count_jobs({f'commit {old} -> {new}': cause.jobs})}")


def _count_jobs(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count} {'job' if count == 1 else 'jobs'})" for name, count in counts.items())


def _change(cause: Cause) -> str:
    if cause.kind in ("source", "input", "code"):
        if (cause.old == ABSENT) == (cause.new == ABSENT):
            return "different content"
        return "only in B" if cause.old == ABSENT else "only in A"
    if isinstance(cause.old, list) and isinstance(cause.new, list):
        gone = [each for each in cause.old if each not in cause.new]
        added = [each for each in cause.new if each not in cause.old]
        changes = [f"{sign} {_value(each)}" for sign, each in (("-", gone), ("+", added)) if each]
        if changes:
            return ", ".join(changes)
    return f"{_value(cause.old)} -> {_value(cause.new)}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        entries = [" ".join(map(str, each)) if isinstance(each, list) else str(each) for each in value]
        text, shortened = ", ".join(entries), f"{len(value)} entries"
    else:
        text = str(value)
        shortened = f"{text[:12]}..."
    return text if len(text) <= SHORT else shortened


def _files(records: RecordsDiff) -> Iterator[str]:
    differing = sum(len(job.files) for job in records.changed_jobs)
    if not differing:
        yield f"Files made: all {records.files} identical (except measured times)"
        return
    yield f"Files made: {differing} of {records.files} differ"
    rules: dict[str, list[ChangedJob]] = {}
    for job in records.changed_jobs:
        rules.setdefault(job.rule, []).append(job)
    for rule, jobs in rules.items():
        why = []
        if causes := dict.fromkeys(cause for job in jobs for cause in job.causes):
            why.append(f"due to {', '.join(causes)}")
        if above := dict.fromkeys(name.split()[0] for job in jobs for name in job.follows):
            why.append(f"follows from {', '.join(above)}")
        if count := sum(not (job.causes or job.follows) for job in jobs):
            why.append(f"{count} without a cause in the records: nondeterministic, or not made by that job")
        yield from _wrap(f"  {rule:<16} {len(jobs):>3} of {records.matched[rule]:>3} jobs  ", "; ".join(why))


def _metrics(metrics: Numbers) -> Iterator[str]:
    changed, rows = metrics.changed, len(metrics.table.drop_duplicates(MODEL))
    if changed.empty:
        yield f"Numbers: identical in all {rows} rows of model, denoiser and sigma that both runs have"
    else:
        yield "Numbers: means over images, difference [95% interval], images with changed numbers"
    yield from _missing("certificates", metrics)
    for number, group in changed.groupby("number", sort=False):
        yield f"  {number}"
        largest = group["difference"].abs().sort_values(ascending=False, kind="stable").index[:MOST_ROWS]
        yield from _rows(group.loc[largest].sort_index())
        if len(group) > len(largest):
            yield f"    {len(group) - len(largest)} more (--json)"
        if rows > len(group):
            yield f"    identical in {rows - len(group)} more rows"
    for side, only in (("A", metrics.only_a), ("B", metrics.only_b)):
        for values in only[:MOST_ROWS].itertuples(index=False):
            yield f"  only in {side}: {' '.join(map(_cell, values))}"
        if len(only) > MOST_ROWS:
            yield f"  only in {side}: {len(only) - MOST_ROWS} more (--json)"


def _intervals(intervals: Numbers) -> Iterator[str]:
    keys = [*MODEL, "measurement", "unit"]
    measured, changed = (len(table.drop_duplicates(keys)) for table in (intervals.table, intervals.changed))
    if changed:
        yield f"Measurement intervals: {changed} of {measured} changed (--json)"
    else:
        yield f"Measurement intervals: identical in all {measured} that both runs have"
    for side, only in (("A", intervals.only_a), ("B", intervals.only_b)):
        if len(only):
            yield f"  only in {side}, or in a different unit: {len(only)} (--json)"
    yield from _missing("intervals", intervals)


def _missing(file: str, numbers: Numbers) -> Iterator[str]:
    for side, columns in (("A", numbers.missing_a), ("B", numbers.missing_b)):
        if columns:
            yield from _wrap(f"  not in {side}, not compared: ", f"{file} {', '.join(columns)}")


def _rows(table: pd.DataFrame) -> Iterator[str]:
    names = table[MODEL].map(_cell)
    names = names.apply(lambda column: column.str.ljust(column.str.len().max()))
    for name, row in zip(names.agg(" ".join, axis=1), table.to_dict("records"), strict=True):
        means = " -> ".join("  n/a" if math.isnan(row[side]) else f"{row[side]:.3f}" for side in "ab")
        interval = f"[{_signed(row['difference_low'])}, {_signed(row['difference_high'])}]"
        yield f"    {name}  {means}  {_signed(row['difference'])} {interval:<16}  {row['moved']} of {row['images']}"


def _cell(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _signed(value: float) -> str:
    if math.isnan(value):
        return "   n/a"
    return f"{value:+.3f}" if abs(value) >= 0.0005 or value == 0 else f"{value:+.0e}"


def _wrap(head: str, text: str) -> list[str]:
    wrapper = textwrap.TextWrapper(WIDTH, head, " " * len(head), break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(text)
