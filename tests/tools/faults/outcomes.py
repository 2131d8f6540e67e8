"""What was injected and how it ended: one row each, and the table of all."""

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

LEFT = re.compile(r"(^|/)\.[^/]*\.part(\.[^/]*)?(/|$)")  # what a killed writer left: segcert.io.atomic


@dataclasses.dataclass
class Fault:
    """One injected fault.

    kind: what was done; stages: the rules whose jobs it met; outcome: what followed; wrong: what was lost or came out
    otherwise than in the undisturbed run, empty if nothing.
    """

    kind: str
    stages: list[str]
    outcome: str = ""
    wrong: list[str] = dataclasses.field(default_factory=list)

    def judge(self, wrong: Iterable[str], outcome: str) -> "Fault":
        """Add what is wrong at the end; what followed is `outcome` where nothing is."""
        self.wrong += wrong
        self.outcome = f"{outcome}; digests equal" if not self.wrong else "wrong"
        return self


def made(run: Any) -> dict[str, str]:
    """The digests of everything that is there under its name."""
    return {name: digest for name, digest in reproducible(run.path).items() if not LEFT.search(name)}


def left_behind(run: Any) -> list[str]:
    """Temporary files that nobody writes any more."""
    places = [run.path / top for top in ("data", "models", "results", "reports", ".segcert")]
    names = (path.relative_to(run.path).as_posix() for place in places for path in place.rglob("*"))
    return [name for name in names if LEFT.search(name)]


def differences(run: Any, plain: Any, ended: int = 0) -> list[str]:
    """All that is wrong with a run that ended: other or missing files, broken links, work that is still to be done."""
    if ended:
        return [f"fails: {run.output[-3000:]}"]
    wrong = [f"differs: {name}" for name in differing(made(run), made(plain))]
    for pointer in ("data.dvc", "models.dvc"):
        if file_digest(run.path / pointer) != file_digest(plain.path / pointer):
            wrong.append(f"differs: {pointer}")
    wrong += [f"broken: {path}" for path in run.broken()]
    stale = run.stale(configfile=run.configfile)
    return [*wrong, f"still to be done: {stale}"] if stale else wrong


def say(what: object) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S}", what, flush=True)


def save(path: Path, faults: Iterable[Fault], **about: object) -> None:
    rows = [dataclasses.asdict(fault) for fault in faults]
    totals = {"faults": len(rows), "lost_or_wrong": sum(bool(row["wrong"]) for row in rows)}
    path.write_text(json.dumps({**about, **totals, "table": table(faults), "rows": rows}, indent=1) + "\n")


def table(faults: Iterable[Fault]) -> list[dict[str, Any]]:
    """A row for each kind: how many, at which stages, the outcomes, and how many were wrong."""
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
    """The table in Markdown."""
    lines = ["| kind | faults | stages | outcome | lost or wrong |", "|---|---:|---|---|---:|"]
    for row in table(faults):
        stages = ", ".join(row["stages"])
        outcomes = "; ".join(f"{count} x {outcome}" for outcome, count in row["outcomes"].items())
        lines.append(f"| {row['kind']} | {row['faults']} | {stages} | {outcomes} | {row['lost_or_wrong']} |")
    return "\n".join(lines)
