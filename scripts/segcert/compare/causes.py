"""What differs between two runs, by their run records: causes first, then what follows from them.

Jobs are matched by rule and wildcards; the name of a run, and paths that hold it, are no difference. The digests are
those that the records state: whether files still are what their records say is for an audit.
"""

import collections
import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segcert.provenance.lineage import Job, Lineage, LineageError

ABSENT = "absent"
RUN = "RUN"
KINDS = ("source", "input", "parameter", "code", "package", "setting", "git")
SETTINGS = ("python", "machine", "device", "driver", "threads")
# Not compared: what holds measured times or names the commit, and what shows the run's name where names differ.
# What else the pages show stands in files that are compared.
TIMED = (
    f"results/{RUN}/seconds/", f"reports/{RUN}/index.html", f"reports/{RUN}/summary.pdf",
    f"reports/{RUN}/tables/stages.csv", f"reports/{RUN}/figures/stages.",
    f"reports/{RUN}/checks.json", f"reports/{RUN}/figures/lineage.",
)  # fmt: skip
NAMED = (f"reports/{RUN}/data.html",)
THROUGH_RECORDS = {"code", "environment"}  # digests of what records say in full
JobKey = tuple[str, tuple[tuple[str, str], ...]]


@dataclasses.dataclass(frozen=True)
class Change:
    """One difference of two jobs: `place` is where it stands in the job, such as `settings.tau`."""

    kind: str
    name: str
    old: Any
    new: Any
    place: str


@dataclasses.dataclass(frozen=True)
class Cause:
    """A distinct change and the jobs that it touches.

    Attributes
    ----------
    kind
        source: a file from outside; input: a file as it was when it was read, and is no more; parameter; code: a file
        below scripts/; package: a locked or imported one; setting: python, machine, device, driver, threads; git.
    name, old, new
        What changed, from what, to what (`absent` where one run lacks it).
    places
        Number of jobs by rule and place: `certify settings.tau`.
    jobs, moved
        Number of jobs that it touches, and of those that made other files; None where no file of theirs is compared.
    """

    kind: str
    name: str
    old: Any
    new: Any
    places: dict[str, int]
    jobs: int
    moved: int | None


@dataclasses.dataclass(frozen=True)
class MovedJob:
    """A job that made other files in B than in A.

    Attributes
    ----------
    job
        Its rule and wildcards.
    rule
        Its rule.
    files
        SHA-256 in A and in B of what differs, by path.
    causes
        Names of what changed in the job itself; empty where the difference only follows from upstream.
    follows
        Jobs upstream that made other files, or that only one run has.
    """

    job: str
    rule: str
    files: dict[str, tuple[str, str]]
    causes: list[str]
    follows: list[str]


@dataclasses.dataclass(frozen=True)
class RecordsDiff:
    """What the records of two runs say of their differences.

    Attributes
    ----------
    causes
        Distinct changes, in the order of the first job that each touches.
    moved
        Jobs with other files, in the order of their work.
    only_a, only_b
        Jobs that only one run has.
    matched
        Number of jobs that both have, by rule.
    files
        Number of files that were compared.
    """

    causes: list[Cause]
    moved: list[MovedJob]
    only_a: list[Job]
    only_b: list[Job]
    matched: dict[str, int]
    files: int

    @property
    def same(self) -> bool:
        """Whether nothing differs; another commit with the same code is no difference."""
        return not (self.moved or self.only_a or self.only_b or any(cause.kind != "git" for cause in self.causes))


def find_run(name: str) -> Lineage:
    """The lineage of a run by its name in this checkout, as `CHECKOUT:run`, or by the path of its results folder.

    Raises LineageError where no such run is.
    """
    if ":" in name:
        root, _, run = name.rpartition(":")
    elif Path(name).parent.name == "results":
        root, run = str(Path(name).parent.parent), Path(name).name
    elif "/" in name:
        raise LineageError(f"{name}: names no run; write a run's name, CHECKOUT:run or CHECKOUT/results/run")
    else:
        root, run = ".", name
    if not Path(root).is_dir():
        raise LineageError(f"{name}: there is no folder {root}; write a run's name, CHECKOUT:run or its results folder")
    return Lineage.read(run, root)


def diff_records(a: Lineage, b: Lineage) -> RecordsDiff:
    """Compare two runs by their records."""
    skipped = TIMED if a.run == b.run else TIMED + NAMED
    side_a, side_b = _Side(a, skipped), _Side(b, skipped)
    touched: dict[tuple[str, str, str], list[tuple[Change, JobKey]]] = {}
    moved: dict[JobKey, MovedJob] = {}
    keys = [key for key in side_b.jobs if key in side_a.jobs]
    for key in keys:
        changes, follows = _compare(key, side_a, side_b)
        files = dict(_differing(side_a.made[key], side_b.made[key]))
        if files:
            own = list(dict.fromkeys(change.name for change in changes if change.kind != "git"))
            moved[key] = MovedJob(side_b.jobs[key].name, key[0], files, own, follows)
        for change in changes:
            same = (change.kind, change.name, json.dumps([change.old, change.new]))
            touched.setdefault(same, []).append((change, key))
    return RecordsDiff(
        causes=[_cause(each, moved, side_b.made) for each in sorted(touched.values(), key=_is_git)],
        moved=list(moved.values()),
        only_a=[job for key, job in side_a.jobs.items() if key not in side_b.jobs],
        only_b=[job for key, job in side_b.jobs.items() if key not in side_a.jobs],
        matched=dict(collections.Counter(rule for rule, _ in keys)),
        files=sum(len(side_a.made[key].keys() | side_b.made[key].keys()) for key in keys),
    )


class _Side:
    """A run with its own name taken out of paths, and without files that are not compared.

    `made` and `read` hold SHA-256 by path of what each job made and read; `maker` the job that made each path.
    """

    def __init__(self, lineage: Lineage, skipped: tuple[str, ...]) -> None:
        self.run, self._skipped = lineage.run, skipped
        self._own = re.compile(rf"\b(results|reports|logs)/{re.escape(lineage.run)}(?=/|$)")
        self.jobs: dict[JobKey, Job] = {
            (job.rule, tuple(sorted(job.record["wildcards"].items()))): job for job in lineage.jobs
        }
        # Archives that were fetched come from outside: they were read.
        self.made = {
            key: self._compared(job.outputs | ({} if job.rule == "fetch" else job.holds))
            for key, job in self.jobs.items()
        }
        self.read = {
            key: self._compared(job.inputs | (job.holds if job.rule == "fetch" else {}))
            for key, job in self.jobs.items()
        }
        self.maker = {path: key for key, files in self.made.items() for path in files}

    def _compared(self, files: Mapping[str, str]) -> dict[str, str]:
        named = {self.named(path): sha256 for path, sha256 in files.items()}
        return {path: sha256 for path, sha256 in named.items() if not path.startswith(self._skipped)}

    def named(self, value: Any) -> Any:
        """A value with the run's own name taken out of paths."""
        if isinstance(value, str):
            return self._own.sub(rf"\1/{RUN}", value)
        if isinstance(value, Mapping):
            return {self.named(key): self.named(each) for key, each in value.items()}
        return [self.named(each) for each in value] if isinstance(value, list) else value

    def parameters(self, key: JobKey, elsewhere: Mapping[str, JobKey]) -> dict[str, Any]:
        """Parameters by their dotted names, without the run's name.

        Of lists, files of jobs that the other run (`elsewhere`: its makers) lacks are left out: the jobs say it.
        """
        flat = {}
        for name, value in leaves(self.jobs[key].record["params"]):
            if name.split(".")[0] in THROUGH_RECORDS or (name.split(".")[-1] == "run" and value == self.run):
                continue
            found = self.named(value)
            if isinstance(found, list):
                found = [each for each in found if not (isinstance(each, str) and self._alone(each, elsewhere))]
            flat[name] = found
        return flat

    def _alone(self, path: str, elsewhere: Mapping[str, JobKey]) -> bool:
        return path in self.maker and path not in elsewhere


def _compare(key: JobKey, a: _Side, b: _Side) -> tuple[list[Change], list[str]]:
    """What changed in a job itself, and the jobs upstream that its other differences follow from."""
    old, new = a.jobs[key].record, b.jobs[key].record
    files: list[Change] = []
    follows: dict[str, None] = {}
    for path, digests in _differing(a.read[key], b.read[key]):
        makers = [side.jobs[side.maker[path]].name for side in (a, b) if path in side.maker]
        if not makers:
            files.append(Change("source", path, *digests, path))
        elif _made(a, path) != _made(b, path):
            follows[makers[-1]] = None
        else:
            files.append(Change("input", path, *digests, path))
    parameters = _differing(a.parameters(key, b.maker), b.parameters(key, a.maker))
    changes = [
        *files,
        *(Change("parameter", name.split(".")[-1], *values, name) for name, values in parameters),
        *(Change("code", f"scripts/{name}", *values, "") for name, values in _recorded("code", old, new)),
        *_packages(old, new),
        *(Change("setting", name, *values, "") for name, values in _differing(_settings(old), _settings(new))),
        *(Change("git", "commit", *values, "") for _, values in _differing(_commit(old), _commit(new))),
    ]
    return changes, list(follows)


def _made(side: _Side, path: str) -> str:
    return side.made[side.maker[path]][path] if path in side.maker else ABSENT


def _recorded(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Differences of what a digest among the parameters stands for; of the digest itself where a record lacks that."""
    digests = old["params"].get(name, ABSENT), new["params"].get(name, ABSENT)
    if old[name] and new[name]:
        yield from _differing(old[name], new[name])
    elif digests[0] != digests[1]:
        yield "(not all are recorded)", digests


def _packages(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Packages that the lock files give otherwise, and those that both jobs imported in different versions."""
    for name, values in _recorded("environment", old, new):
        before, after = (", ".join(entry.split()[0] for entry in value.split(", ")) for value in values)
        yield Change("package", name, *((before, after) if before != after else values), "locked")
    imported = old["packages"].keys() & new["packages"].keys()
    for name in sorted(imported):
        if old["packages"][name] != new["packages"][name]:
            yield Change("package", name, old["packages"][name], new["packages"][name], "imported")


def _settings(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in SETTINGS if record.get(name) is not None}


def _commit(record: Mapping[str, Any]) -> dict[str, str]:
    git = record["git"]
    if git["commit"] is None:
        return {}
    return {"commit": git["commit"] + ("" if git["clean"] else " with changes")}


def leaves(params: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested mappings, by their dotted names."""
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


def _cause(
    touched: Sequence[tuple[Change, JobKey]],
    moved: Mapping[JobKey, MovedJob],
    made: Mapping[JobKey, Mapping[str, str]],
) -> Cause:
    change = touched[0][0]
    places = collections.Counter(
        f"{key[0]} {each.place}" if each.place not in ("", each.name) else key[0] for each, key in touched
    )
    jobs = {key for _, key in touched}
    effect = len(jobs & moved.keys()) if any(made[key] for key in jobs) else None
    return Cause(change.kind, change.name, change.old, change.new, dict(places), len(jobs), effect)


def _is_git(touched: list[tuple[Change, JobKey]]) -> bool:
    return touched[0][0].kind == "git"
