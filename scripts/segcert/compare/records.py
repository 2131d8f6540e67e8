"""Differences between the run records of two runs: first the causes, then their effects.

Jobs are matched by rule and wildcards. Differences that only result from the runs' names, for example in paths, are
ignored. Digests are taken from the records. An audit checks whether the files still match the digests.
"""

import collections
import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from segcert.provenance.lineage import Job, Lineage

ABSENT = "absent"
RUN = "RUN"
SETTINGS = ("python", "machine", "device", "driver", "threads")
# Files that are not compared: files that contain measured times or the commit (TIMED) and, if the runs have different
# names, files that show the name (NAMED). All other content of the pages is also in files that are compared.
TIMED = (
    f"results/{RUN}/seconds/",
    f"reports/{RUN}/index.html",
    f"reports/{RUN}/summary.pdf",
    f"reports/{RUN}/tables/stages.csv",
    f"reports/{RUN}/figures/stages.",
    f"reports/{RUN}/checks.json",
    f"reports/{RUN}/figures/lineage.",
)
NAMED = (f"reports/{RUN}/data.html",)
IN_FULL = {"code", "environment"}  # params that are digests; the records also contain the values in full

JobKey = tuple[str, tuple[tuple[str, str], ...]]
Change = tuple[str, str, tuple[Any, Any], str]  # kind, name, old and new value, and place, such as `settings.tau`


@dataclasses.dataclass(frozen=True)
class Cause:
    """A difference between the runs, and the jobs that it affects.

    The kinds are:

    - `source`: a file that no job made
    - `input`: a file that was replaced after a job read it
    - `parameter`: an entry in the `params` of a rule
    - `code`: a file below scripts/
    - `package`: a locked or imported package
    - `setting`: Python version, machine, device, driver or number of threads (SETTINGS)
    - `git`: the commit
    """

    kind: str
    name: str
    old: Any  # `absent` if it is missing in A
    new: Any  # `absent` if it is missing in B
    places: dict[str, int]  # number of affected jobs by rule and place, such as `certify settings.tau`
    jobs: int  # number of affected jobs
    moved: int | None  # number of affected jobs whose files differ, or None if none of their files are compared


@dataclasses.dataclass(frozen=True)
class ChangedJob:
    """A job that made different files in runs A and B."""

    job: str  # rule and wildcards
    rule: str
    files: dict[str, tuple[str, str]]  # maps the path of each file that differs to its SHA-256 in A and in B
    causes: list[str]  # names of the changes in the job itself; empty if only its inputs differ
    follows: list[str]  # upstream jobs whose files differ, or that only one run contains


@dataclasses.dataclass(frozen=True)
class RecordsDiff:
    """Differences between the run records of two runs."""

    causes: list[Cause]  # in the order of the first job that each affects; commits come last
    changed_jobs: list[ChangedJob]  # in topological order
    only_a: list[Job]
    only_b: list[Job]
    matched: dict[str, int]  # number of jobs that both runs contain, by rule
    files: int  # number of files that were compared

    @property
    def same(self) -> bool:
        """True if nothing differs, except possibly the commit."""
        return not (
            self.changed_jobs or self.only_a or self.only_b or any(cause.kind != "git" for cause in self.causes)
        )


def diff_records(a: Lineage, b: Lineage) -> RecordsDiff:
    """Compare two runs by their run records."""
    skipped = TIMED if a.run == b.run else TIMED + NAMED
    side_a, side_b = _Side(a, skipped), _Side(b, skipped)
    affected: dict[tuple[str, str, str], dict[JobKey, list[str]]] = {}
    changed: dict[JobKey, ChangedJob] = {}
    matched = [key for key in side_b.jobs if key in side_a.jobs]
    for key in matched:
        changes, follows = _changed_inputs(key, side_a, side_b)
        changes += _changed_job(key, side_a, side_b)
        for kind, name, values, place in changes:
            where = f"{key[0]} {place}" if place not in ("", name) else key[0]
            affected.setdefault((kind, name, json.dumps(values)), {}).setdefault(key, []).append(where)
        if files := dict(_differing(side_a.made[key], side_b.made[key])):
            own = list(dict.fromkeys(name for kind, name, *_ in changes if kind != "git"))
            changed[key] = ChangedJob(side_b.jobs[key].name, key[0], files, own, follows)
    causes = []
    for (kind, name, both), jobs in affected.items():
        places = collections.Counter(where for each in jobs.values() for where in each)
        effect = len(jobs.keys() & changed.keys()) if any(side_b.made[key] for key in jobs) else None
        old, new = json.loads(both)
        causes.append(Cause(kind, name, old, new, dict(places), len(jobs), effect))
    return RecordsDiff(
        causes=sorted(causes, key=lambda cause: cause.kind == "git"),
        changed_jobs=list(changed.values()),
        only_a=[job for key, job in side_a.jobs.items() if key not in side_b.jobs],
        only_b=[job for key, job in side_b.jobs.items() if key not in side_a.jobs],
        matched=dict(collections.Counter(rule for rule, _ in matched)),
        files=sum(len(side_a.made[key].keys() | side_b.made[key].keys()) for key in matched),
    )


class _Side:
    """Jobs and compared files of one of the two runs.

    In all paths, the run's name is replaced by RUN. `made` and `read` map each job to the files that the job made or
    read. The files are dicts that map paths to SHA-256. `maker` maps each path to the job that made the file.
    """

    def __init__(self, lineage: Lineage, skipped: tuple[str, ...]) -> None:
        self.run, self._skipped = lineage.run, skipped
        self._own = re.compile(rf"\b(results|reports|logs)/{re.escape(lineage.run)}(?=/|$)")
        self.jobs: dict[JobKey, Job] = {}
        self.made: dict[JobKey, dict[str, str]] = {}
        self.read: dict[JobKey, dict[str, str]] = {}
        for job in lineage.jobs:
            key = job.rule, tuple(sorted(job.record["wildcards"].items()))
            self.jobs[key] = job
            if job.rule == "fetch":  # archives come from outside the run, so they count as inputs
                self.made[key], self.read[key] = (
                    self._compared(job.outputs),
                    self._compared(job.inputs | job.extra_outputs),
                )
            else:
                self.made[key], self.read[key] = (
                    self._compared(job.outputs | job.extra_outputs),
                    self._compared(job.inputs),
                )
        self.maker = {path: key for key, files in self.made.items() for path in files}

    def made_from(self, path: str) -> str:
        """Return the SHA-256 of the file that a job of this run made at `path`, or ABSENT if no job made this file."""
        return self.made[self.maker[path]][path] if path in self.maker else ABSENT

    def parameters(self, key: JobKey, other: "_Side") -> dict[str, Any]:
        """Return a dict of a job's parameters with names such as `settings.tau`, leaving out the run's name.

        If the other run does not contain a job, the files of this job are removed from lists, because such jobs are
        reported separately.
        """
        alone = self.maker.keys() - other.maker.keys()
        flat = {}
        for name, value in leaves(self.jobs[key].record["params"]):
            if name.split(".")[0] in IN_FULL or (name.split(".")[-1] == "run" and value == self.run):
                continue
            flat[name] = self._named(value)
            if isinstance(flat[name], list):
                flat[name] = [each for each in flat[name] if not (isinstance(each, str) and each in alone)]
        return flat

    def _compared(self, files: Mapping[str, str]) -> dict[str, str]:
        named = {self._named(path): sha256 for path, sha256 in files.items()}
        return {path: sha256 for path, sha256 in named.items() if not path.startswith(self._skipped)}

    def _named(self, value: Any) -> Any:
        """Return a value with the run's name replaced by RUN in all paths."""
        if isinstance(value, str):
            return self._own.sub(rf"\1/{RUN}", value)
        if isinstance(value, Mapping):
            return {self._named(key): self._named(each) for key, each in value.items()}
        return [self._named(each) for each in value] if isinstance(value, list) else value


def _changed_inputs(key: JobKey, a: _Side, b: _Side) -> tuple[list[Change], list[str]]:
    """Return the changed inputs that are not explained by upstream jobs, and the upstream jobs whose files differ."""
    changes: list[Change] = []
    follows: dict[str, None] = {}
    for path, digests in _differing(a.read[key], b.read[key]):
        makers = [side.jobs[side.maker[path]].name for side in (a, b) if path in side.maker]
        if not makers:
            changes.append(("source", path, digests, path))
        elif a.made_from(path) != b.made_from(path):
            follows[makers[-1]] = None
        else:
            changes.append(("input", path, digests, path))
    return changes, list(follows)


def _changed_job(key: JobKey, a: _Side, b: _Side) -> Iterator[Change]:
    """Yield the changes in a job's parameters, code, packages, settings and commit, but not those in its inputs."""
    old, new = a.jobs[key].record, b.jobs[key].record
    for name, values in _differing(a.parameters(key, b), b.parameters(key, a)):
        yield "parameter", name.split(".")[-1], values, name
    for name, values in _recorded("code", old, new):
        yield "code", f"scripts/{name}", values, ""
    for name, values in _recorded("environment", old, new):
        # Of lock file entries, only the versions are shown if they differ, and otherwise the digests too.
        before, after = (", ".join(entry.split()[0] for entry in value.split(", ")) for value in values)
        yield "package", name, (before, after) if before != after else values, "locked"
    both = sorted(old["packages"].keys() & new["packages"].keys())
    for name, values in _differing(*({name: record["packages"][name] for name in both} for record in (old, new))):
        yield "package", name, values, "imported"
    for name in SETTINGS:
        before, after = (ABSENT if record.get(name) is None else record[name] for record in (old, new))
        if before != after:
            yield "setting", name, (before, after), ""
    before, after = _commit(old["git"]), _commit(new["git"])
    if before != after:
        yield "git", "commit", (before, after), ""


def _recorded(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the differences in a job's code or environment, of which the job's parameters contain digests.

    If the run records contain only the digests, the digests are yielded if they differ.
    """
    digests = old["params"].get(name, ABSENT), new["params"].get(name, ABSENT)
    if old[name] and new[name]:
        yield from _differing(old[name], new[name])
    elif digests[0] != digests[1]:
        yield "(not all are recorded)", digests


def _commit(git: Mapping[str, Any]) -> str:
    if git["commit"] is None:
        return ABSENT
    return str(git["commit"]) if git["clean"] else f"{git['commit']} with changes"


def leaves(params: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value in nested mappings together with its dotted name, such as `settings.tau`."""
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in dict.fromkeys([*a, *b]):
        values = a.get(name, ABSENT), b.get(name, ABSENT)
        if values[0] != values[1]:
            yield name, values
