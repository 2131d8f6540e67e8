"""Report of stale jobs, stage by stage, and of the reasons for running them again."""

import collections
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from segcert.plan.jobs import PlannedJob
from segcert.plan.snakemake_plan import read_plan
from segcert.provenance.digests import load_value
from segcert.provenance.preparation import Preparation

SHOWN = 4  # maximum number of reasons per stage, and of differences per parameter, to show
TITLES = {"environment": "locked packages", "target_code": "user-supplied code"}
SHA256_DIGITS = 64


def status(arguments: Sequence[str]) -> str:
    """List, stage by stage, the jobs that `snakemake` with these arguments would run, and the reasons.

    Raises PlanError if Snakemake cannot make the plan.
    """
    stages: dict[str, list[PlannedJob]] = collections.defaultdict(list)
    for job in read_plan(arguments):
        stages[job.rule].append(job)
    checkout = Preparation().look()
    lines: list[str] = []
    for rule, jobs in stages.items():
        stale = [job for job in jobs if job.stale]
        if not stale:
            continue
        lines.append(f"{rule}: {len(stale)} of {len(jobs)}")
        reasons = collections.Counter(reason for job in stale for reason in job_reasons(job, checkout))
        for reason, count in list(reasons.items())[:SHOWN]:
            lines.append(f"  {reason}  ({count} jobs)" if count > 1 else f"  {reason}")
        if len(reasons) > SHOWN:
            lines.append(f"  and {len(reasons) - SHOWN} more reasons")
    warning = []
    if checkout.changes.artifacts:
        warning = ["", "Changed after their jobs made them (restore: dvc checkout; rerun: snakemake --force FILE):"]
        warning += [f"  {artifact}" for artifact in checkout.changes.artifacts]
    fresh = [f"{rule} ({len(jobs)})" for rule, jobs in stages.items() if not any(job.stale for job in jobs)]
    if not lines:
        count = sum(map(len, stages.values()))
        return "\n".join([f"Nothing is stale: {count} jobs in {len(stages)} stages are up to date.", *warning])
    return "\n".join(["Stale:", *lines, "", f"Up to date: {', '.join(fresh) or 'nothing'}", *warning])


def job_reasons(job: PlannedJob, checkout: Preparation) -> Iterator[str]:
    """Yield the reasons why a job would run. If the job itself is unchanged, name the rules whose outputs it reads."""
    own = list(_own_reasons(job, checkout))
    yield from own
    if not own:
        yield f"follows from {', '.join(job.follows)}" if job.follows else "runs whenever it is requested"


def _own_reasons(job: PlannedJob, checkout: Preparation) -> Iterator[str]:
    record = checkout.record(job.outputs[0]) if job.outputs else {}
    if job.incomplete:
        yield "was interrupted"
    elif job.missing and not record:
        yield "has not run yet"
        return  # Snakemake reports all inputs of such a job as updated
    elif job.missing:
        yield f"{job.missing[0]} is missing"
    for path in job.changed_inputs:
        yield f"the content of {path} changed"
    if job.inputs_changed:
        read = set(record.get("inputs", {}))
        added = [f"+ {path}" for path in sorted(set(job.inputs) - read)]
        removed = [f"- {path}" for path in sorted(read - set(job.inputs))]
        yield f"reads different files: {_listed(added + removed)}"
    if job.params_changed:
        yield from _differences(record, job.params)


def _differences(record: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines about the parameters that differ from the record: files of code, packages and settings."""
    before = record.get("params")
    if before is None:
        yield "its parameters changed, but there is no run record to compare them with"
        return
    tables = {"code": record["code"], "environment": record["environment"]}
    for name, value in json.loads(json.dumps(params, default=str)).items():
        if value == before.get(name):
            continue
        old, new = tables.get(name) or _behind(before.get(name)), _behind(value)
        if old and new:
            changes = _changed(old, new, versions=name == "environment")
            yield f"{TITLES.get(name, name)}: {_listed(changes)}"
        elif name == "changed_extra_outputs":
            yield f"changed after its job made it: {_listed(sorted(value.get('files', {})))}"
        else:
            yield from _values(name, before.get(name), value)


def _behind(value: Any) -> dict[str, str] | None:
    """Return the stored dict of files or packages whose digest is `value`, or None if there is no such dict."""
    if not isinstance(value, str) or len(value) != SHA256_DIGITS:
        return None
    found: dict[str, str] | None = load_value(value)
    return found


def _values(name: str, before: Any, now: Any) -> Iterator[str]:
    """Yield a line about a parameter that differs. For a mapping, yield a line about each key that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            if before.get(key) != now.get(key):
                yield from _values(f"{name}.{key}", before.get(key), now.get(key))
    else:
        yield f"{name}: {_short(before)} -> {_short(now)}"


def _changed(before: Mapping[str, str], now: Mapping[str, str], *, versions: bool = False) -> list[str]:
    """Return the names whose values differ, optionally with the old and new versions."""
    names = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
    if not versions:
        return names
    changes = []
    for name in names:
        old, new = ((each.get(name) or "none").split()[0] for each in (before, now))
        changes.append(f"{name} {old} -> {new}" if old != new else f"{name} {old} with different hashes")
    return changes


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
