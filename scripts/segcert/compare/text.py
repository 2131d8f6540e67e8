"""The differences of two runs in words, for a terminal of 100 columns."""

import collections
import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from segcert.compare.causes import Cause, MovedJob, RecordsDiff
from segcert.compare.numbers import Numbers
from segcert.provenance.lineage import Job, Lineage
from segcert.results.tables import MODEL

WIDTH = 100
MOST_ROWS = 24  # of a metric; the largest differences are shown
MOST_NAMES = 3  # of jobs that only one run has
SHORT = 40  # characters of a value


def describe(a: Lineage, b: Lineage, records: RecordsDiff, metrics: Numbers, intervals: Numbers) -> str:
    """All that differs: causes, what follows from them, numbers."""
    parts = [
        [f"A  {_about(a)}", f"B  {_about(b)}"],
        list(_causes(records)),
        list(_artifacts(records)),
        list(_numbers(metrics, intervals)),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _about(lineage: Lineage) -> str:
    ended = max((str(job.record["ended"]) for job in lineage.jobs), default="")
    unreadable = f"; {len(lineage.unreadable)} files are no run records" if lineage.unreadable else ""
    return f"{lineage.run} in {lineage.root}: {len(lineage.jobs)} jobs, the last ended {ended}{unreadable}"


def _causes(records: RecordsDiff) -> Iterator[str]:
    causes = [cause for cause in records.causes if cause.kind != "git"]
    alone = [*_alone("A", records.only_a), *_alone("B", records.only_b)]
    if not (causes or alone):
        yield "Inputs, parameters, code, packages and settings: the same"
    else:
        yield "What differs, first cause first"
    for cause in causes:
        yield from _wrapped(f"  {cause.kind:<10}", f"{cause.name}: {_change(cause)}")
        effect = "; no file differs by it" if cause.moved == 0 else ""
        yield from _wrapped(" " * 14, f"in {_counted(cause.places)}{effect}")
    yield from alone
    for cause in records.causes:
        if cause.kind == "git":
            yield from _wrapped(
                "  git       ", f"commit {_commit(cause.old)} -> {_commit(cause.new)} ({_jobs(cause.jobs)})"
            )


def _commit(state: str) -> str:
    commit, _, more = state.partition(" ")
    return f"{commit[:12]} {more}".rstrip()


def _alone(side: str, jobs: Sequence[Job]) -> Iterator[str]:
    if jobs:
        counts = collections.Counter(job.rule for job in jobs)
        names = [*(job.name for job in jobs[:MOST_NAMES]), *(["..."] if len(jobs) > MOST_NAMES else [])]
        yield from _wrapped(f"  only in {side} ", f"{_counted(counts)}: {', '.join(names)}")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} ({_jobs(count)})" for name, count in counts.items())


def _jobs(count: int) -> str:
    return f"{count} {'job' if count == 1 else 'jobs'}"


def _change(cause: Cause) -> str:
    if cause.kind in ("source", "input", "code"):
        words = {(True, False): "only in B", (False, True): "only in A"}
        return words.get((cause.old == "absent", cause.new == "absent"), "other contents")
    if isinstance(cause.old, list) and isinstance(cause.new, list):
        gone = [each for each in cause.old if each not in cause.new]
        added = [each for each in cause.new if each not in cause.old]
        changes = [f"{sign} {_value(each)}" for sign, each in (("-", gone), ("+", added)) if each]
        return ", ".join(changes) or f"{_value(cause.old)} -> {_value(cause.new)}"
    return f"{_value(cause.old)} -> {_value(cause.new)}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        text = ", ".join(" ".join(map(str, each)) if isinstance(each, list) else str(each) for each in value)
        return text if len(text) <= SHORT else f"{len(value)} entries"
    text = str(value)
    return text if len(text) <= SHORT else f"{text[:12]}..."


def _artifacts(records: RecordsDiff) -> Iterator[str]:
    differing = sum(len(job.files) for job in records.moved)
    if not differing:
        yield f"Files made: all {records.files} identical (but for measured times)"
        return
    yield f"Files made: {differing} of {records.files} differ"
    for rule, jobs in _by_rule(records.moved).items():
        causes = dict.fromkeys(cause for job in jobs for cause in job.causes)
        above = dict.fromkeys(name.split()[0] for job in jobs for name in job.follows)
        why = [f"by {', '.join(causes)}"] if causes else []
        why += [f"follows {', '.join(above)}"] if above else []
        unexplained = sum(not (job.causes or job.follows) for job in jobs)
        if unexplained:
            why.append(
                f"{unexplained} without a cause in the records: not deterministic, or not made by the recorded job"
            )
        yield from _wrapped(f"  {rule:<16} {len(jobs):>3} of {records.matched[rule]:>3} jobs  ", "; ".join(why))


def _by_rule(moved: Iterable[MovedJob]) -> dict[str, list[MovedJob]]:
    rules: dict[str, list[MovedJob]] = {}
    for job in moved:
        rules.setdefault(job.rule, []).append(job)
    return rules


def _numbers(metrics: Numbers, intervals: Numbers) -> Iterator[str]:
    moved, rows = metrics.moved, len(metrics.table.drop_duplicates(MODEL))
    keys = [*MODEL, "measurement"]
    measured = len(intervals.table.drop_duplicates(keys))
    if moved.empty:
        yield f"Numbers: identical in all {rows} rows of model, denoiser and sigma that both runs have"
    else:
        yield "Numbers: means over images, difference [95% paired bootstrap], images in which it moved"
    for number, group in moved.groupby("number", sort=False):
        shown = group.loc[group["difference"].abs().sort_values(ascending=False, kind="stable").index[:MOST_ROWS]]
        yield f"  {number}"
        yield from _rows(shown.sort_index())
        left, same = len(group) - len(shown), rows - len(group)
        notes = [f"{left} more (--json)"] * bool(left) + [f"identical in {same} more rows"] * bool(same)
        yield from (f"    {note}" for note in notes)
    for side, only in (("A", metrics.only_a), ("B", metrics.only_b)):
        for values in only[:MOST_ROWS].itertuples(index=False):
            yield f"  only in {side}: {' '.join(map(_cell, values))}"
        if len(only) > MOST_ROWS:
            yield f"  only in {side}: {len(only) - MOST_ROWS} more (--json)"
    if intervals.moved.empty:
        yield f"Measurement intervals: identical in all {measured} that both runs have"
    else:
        yield f"Measurement intervals: {len(intervals.moved.drop_duplicates(keys))} of {measured} moved (--json)"


def _rows(table: pd.DataFrame) -> Iterator[str]:
    keys = [[_cell(value) for value in table[column]] for column in MODEL]
    widths = [max(map(len, column)) for column in keys]
    for names, row in zip(zip(*keys, strict=True), table.to_dict("records"), strict=True):
        name = " ".join(text.ljust(width) for text, width in zip(names, widths, strict=True))
        interval = f"[{_signed(row['difference_low'])}, {_signed(row['difference_high'])}]"
        yield (
            f"    {name}  {_plain(row['a'])} -> {_plain(row['b'])}  {_signed(row['difference'])} {interval:<16}"
            f"  {row['moved']} of {row['images']}"
        )


def _cell(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(value: float) -> str:
    return "  n/a" if math.isnan(value) else f"{value:.3f}"


def _signed(value: float) -> str:
    if math.isnan(value):
        return "   n/a"
    return f"{value:+.3f}" if abs(value) >= 0.0005 or value == 0 else f"{value:+.0e}"


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
