"""Record injected faults and their outcomes, and summarise them in a table."""

import collections
import dataclasses
import datetime
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.support.digests import differing, reproducible

from segcert.provenance.digests import file_digest

LEFT = re.compile(r"(^|/)\.[^/]*\.part(\.[^/]*)?(/|$)")  # temporary files of segcert.io.atomic


@dataclasses.dataclass
class Fault:
    """One injected fault.

    Attributes
    ----------
    kind
        Description of the fault.
    stages
        Rules of the jobs that were running.
    outcome
        Description of what happened after the fault.
    wrong
        Everything that was lost or differs from the reference run; empty after a successful recovery.
    """

    kind: str
    stages: list[str]
    outcome: str = ""
    wrong: list[str] = dataclasses.field(default_factory=list)

    def judge(self, wrong: Iterable[str], outcome: str) -> "Fault":
        """Add the problems found at the end. If there are no problems, set the outcome to `outcome`."""
        self.wrong += wrong
        self.outcome = f"{outcome}; digests equal" if not self.wrong else "wrong"
        return self


def made(run: Any) -> dict[str, str]:
    """Return the digests of a run's reproducible files, without temporary files."""
    return {name: digest for name, digest in reproducible(run.path).items() if not LEFT.search(name)}


def left_behind(run: Any) -> list[str]:
    """Return the paths of temporary files that an ended run left behind."""
    places = [run.path / top for top in ("data", "models", "results", "reports", ".segcert")]
    names = (path.relative_to(run.path).as_posix() for place in places for path in place.rglob("*"))
    return [name for name in names if LEFT.search(name)]


def differences(run: Any, plain: Any, ended: int = 0) -> list[str]:
    """Return all problems of a finished run: failure, different or missing files, broken links, stale jobs."""
    if ended:
        return [f"fails: {run.output[-3000:]}"]
    wrong = [f"differs: {name}" for name in differing(made(run), made(plain))]
    for pointer in ("data.dvc", "models.dvc"):
        if file_digest(run.path / pointer) != file_digest(plain.path / pointer):
            wrong.append(f"differs: {pointer}")
    wrong += [f"broken: {path}" for path in run.broken()]
    stale = run.stale(configfile=run.configfile)
    return [*wrong, f"still stale: {stale}"] if stale else wrong


def say(what: object) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S}", what, flush=True)


def save(path: Path, faults: list[Fault], **about: object) -> None:
    wrong = [dataclasses.asdict(fault) for fault in faults if fault.wrong]
    totals = {"faults": len(faults), "lost_or_wrong": len(wrong), "wrong": wrong}
    path.write_text(json.dumps({**about, **totals, "table": table(faults)}, indent=1) + "\n")


def table(faults: Iterable[Fault]) -> list[dict[str, Any]]:
    """Return a row for each kind of fault: number of faults, stages, outcomes, and number of failed recoveries."""
    kinds = collections.defaultdict[str, list[Fault]](list)
    for fault in faults:
        kinds[fault.kind].append(fault)
    return [
        {
            "kind": kind,
            "faults": len(each),
            "stages": sorted({stage for fault in each for stage in fault.stages}),
            "outcomes": dict(collections.Counter(fault.outcome for fault in each).most_common()),
            "lost_or_wrong": sum(bool(fault.wrong) for fault in each),
        }
        for kind, each in kinds.items()
    ]


def text(faults: Iterable[Fault]) -> str:
    """Return the table of all faults in Markdown."""
    lines = ["| kind | faults | stages | outcome | lost or wrong |", "|---|---:|---|---|---:|"]
    for row in table(faults):
        stages = ", ".join(row["stages"])
        outcomes = "; ".join(f"{count} x {outcome}" for outcome, count in row["outcomes"].items())
        lines.append(f"| {row['kind']} | {row['faults']} | {stages} | {outcomes} | {row['lost_or_wrong']} |")
    return "\n".join(lines)
