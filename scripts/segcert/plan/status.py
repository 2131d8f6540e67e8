"""What is stale, stage by stage, and why, in plain words."""

import collections
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from segcert.plan.jobs import PlannedJob
from segcert.plan.snakemake_plan import read_plan
from segcert.provenance.digests import load_value
from segcert.provenance.preparation import Preparation

SHOWN = 4  # reasons of a stage, and differences of a parameter
WORDS = {"environment": "locked packages", "target_code": "code of one's own"}
SHA256_DIGITS = 64


def status(arguments: Sequence[str]) -> str:
    """What `snakemake` with these arguments would run again, and why; a block per stage. Raises PlanError."""
    stages: dict[str, list[PlannedJob]] = collections.defaultdict(list)
    for job in read_plan(arguments):
        stages[job.rule].append(job)
    checkout, lines = Preparation().look(), []
    for rule, jobs in stages.items():
        stale = [job for job in jobs if job.stale]
        if not stale:
            continue
        lines.append(f"{rule}: {len(stale)} of {len(jobs)}")
        reasons = collections.Counter(reason for job in stale for reason in _reasons(job, checkout))
        lines += [f"  {reason}{f'  ({count} jobs)' if count > 1 else ''}" for reason, count in reasons.items()][:SHOWN]
        lines += [f"  and {len(reasons) - SHOWN} reasons more"] if len(reasons) > SHOWN else []
    changed = [f"  {artifact}" for artifact in checkout.changes.artifacts]
    warning = ["", "Not what their jobs made (dvc checkout, or snakemake --force FILE):", *changed] if changed else []
    fresh = [f"{rule} ({len(jobs)})" for rule, jobs in stages.items() if not any(job.stale for job in jobs)]
    if not lines:
        count = sum(map(len, stages.values()))
        return "\n".join([f"Nothing is stale: {count} jobs in {len(stages)} stages are up to date.", *warning])
    return "\n".join(["Stale:", *lines, "", f"Up to date: {', '.join(fresh) or 'nothing'}", *warning])


def _reasons(job: PlannedJob, checkout: Preparation) -> Iterator[str]:
    """Why a job would run; where it only follows from others, which."""
    own = list(_own_reasons(job, checkout))
    yield from own
    if not own:
        yield f"follows from {', '.join(job.follows)}" if job.follows else "runs whenever it is asked for"


def _own_reasons(job: PlannedJob, checkout: Preparation) -> Iterator[str]:
    record = checkout.record(job.outputs[0]) if job.outputs else {}
    if job.incomplete:
        yield "was interrupted"
    elif job.missing and not record:
        yield "has not been run yet"
    elif job.missing:
        yield f"{job.missing[0]} is missing"
    for path in job.changed_inputs:
        yield f"the content of {path} changed"
    if job.inputs_changed:
        read = record.get("inputs", {})
        added, removed = (sorted(set(one) - set(other)) for one, other in ((job.inputs, read), (read, job.inputs)))
        yield f"reads other files: {_listed([f'+ {path}' for path in added] + [f'- {path}' for path in removed])}"
    if job.params_changed:
        yield from _differences(record, job.params)


def _differences(record: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[str]:
    """The parameters that differ from those on record: code by file, packages by name, settings by key."""
    before = record.get("params")
    if before is None:
        yield "other parameters than before; no run record says which"
        return
    tables = {"code": record["code"], "environment": record["environment"]}
    for name, value in json.loads(json.dumps(params, default=str)).items():
        if value == before.get(name):
            continue
        old, new = tables.get(name) or _known(before.get(name)), _known(value)
        if old and new:
            yield f"{WORDS.get(name, name)}: {_listed(_changed(old, new, versions=name == 'environment'))}"
        elif name == "disturbed":
            yield f"changed after it was made: {_listed(sorted(value.get('files', {})))}"
        else:
            yield from _values(name, before.get(name), value)


def _known(value: Any) -> dict[str, str] | None:
    """The files or packages that a digest stands for; None for what is no digest, or not known here."""
    found: dict[str, str] | None = load_value(value) if isinstance(value, str) and len(value) == SHA256_DIGITS else None
    return found


def _values(name: str, before: Any, now: Any) -> Iterator[str]:
    """A parameter, or the keys of it, that differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            if before.get(key) != now.get(key):
                yield from _values(f"{name}.{key}", before.get(key), now.get(key))
    else:
        yield f"{name}: {_short(before)} -> {_short(now)}"


def _changed(before: Mapping[str, str], now: Mapping[str, str], *, versions: bool = False) -> list[str]:
    """The keys that differ, with versions where asked for."""
    names = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
    if not versions:
        return names
    words = []
    for name in names:
        old, new = ((each.get(name) or "none").split()[0] for each in (before, now))
        words.append(f"{name} {old} -> {new}" if old != new else f"{name} {old} with other hashes")
    return words


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
