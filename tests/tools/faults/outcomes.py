"""What was injected and how it ended: one row each, and the table of all."""

import collections
import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path


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


def save(path: Path, faults: Iterable[Fault], **about: object) -> None:
    rows = [dataclasses.asdict(fault) for fault in faults]
    totals = {"faults": len(rows), "lost_or_wrong": sum(bool(row["wrong"]) for row in rows)}
    path.write_text(json.dumps({**about, **totals, "table": table(faults), "rows": rows}, indent=1) + "\n")


def table(faults: Iterable[Fault]) -> list[dict[str, object]]:
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
        outcomes = "; ".join(f"{count} x {outcome}" for outcome, count in row["outcomes"].items())
        lines.append(
            f"| {row['kind']} | {row['faults']} | {', '.join(row['stages'])} | {outcomes} | {row['lost_or_wrong']} |"
        )
    return "\n".join(lines)
