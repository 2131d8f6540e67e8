"""Ledger of decisions: for each image and networks, all settings with which certificates were decided.

alpha covers one decision, fixed before its votes were seen. Anyone may decide again, with other settings, but then the
results were chosen among several. The ledger counts the decisions, so that certificates and reports can say so.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from segcert.io.json_files import parse_json
from segcert.io.progress import log
from segcert.provenance.digests import value_digest

# Settings that make a decision, and what names the image and networks that it is about
SETTINGS = ("sigma", "n0", "n", "seed", "noise", "tau", "alpha", "method", "k", "looks")
ABOUT = ("image", "segmenter", "denoiser")
FOLDER = "decisions"
Settings = Mapping[str, Any]


class Decided(NamedTuple):
    """The number of a decision on an image and networks, from 1, and the settings of all earlier decisions."""

    number: int
    earlier: list[dict[str, Any]]


class Ledger:
    """Decisions in a folder, one file for each image and networks, one line for each plan.

    A plan is a list of decisions that were fixed together, before any of their votes were seen. All decisions of a plan
    have the same number. Repeating a decision does not add it again. Lines are only appended, so several processes may
    share the folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def of_store(cls, store: str | Path) -> Self:
        """Return the ledger inside a store of draws."""
        return cls(Path(store, FOLDER))

    @classmethod
    def of_user(cls) -> Self:
        """Return the user's own ledger, for results that are not in a shared store."""
        state = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
        return cls(Path(state, "segcert", FOLDER))

    def record(self, plan: Sequence[Settings]) -> list[Decided]:
        """Record a plan of decisions on one image and networks; return each decision's number and the earlier ones.

        Each mapping in `plan` contains at least the keys SETTINGS and ABOUT. If the ledger cannot be written, a warning
        says so.
        """
        path = self.path({name: plan[0].get(name) for name in ABOUT})
        decisions = [{name: each[name] for name in SETTINGS} for each in plan]
        plans = _plans(path)
        known = [decision for earlier in plans for decision in earlier]
        if new := [decision for decision in decisions if decision not in known]:
            plans.append(new)
            try:
                _append(path, new)
            except OSError as error:
                log.warning("%s: cannot be written (%s); this decision is not recorded", path, error.strerror)
        numbered = []
        for decision in decisions:
            place = next(number for number, earlier in enumerate(plans) if decision in earlier)
            before = [each for earlier in plans[:place] for each in earlier]
            numbered.append(Decided(place + 1, before))
        return numbered

    def path(self, about: Mapping[str, Any]) -> Path:
        """Return the path of the file about an image and networks, given by their digests (ABOUT)."""
        digest = value_digest(about)
        return self.folder / digest[:2] / f"{digest}.jsonl"


def record_plans(ledger: Ledger, plans: Iterable[Sequence[Settings]]) -> dict[str, int]:
    """Record the plans of several images, and return what a run record says about them.

    These are the largest number of a decision (`most`), and the number of decisions that are not the first (`later`).
    """
    numbers = [decided.number for plan in plans for decided in ledger.record(plan)]
    return {"most": max(numbers, default=1), "later": sum(number > 1 for number in numbers)}


def joined(records: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Join what several run records say about decisions (see `record_plans`)."""
    found = [record["decisions"] for record in records if "decisions" in record]
    return {
        "most": max((each["most"] for each in found), default=1),
        "later": sum(each["later"] for each in found),
    }


def notice(record: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Return a heading and a text if a run's certificates are not all a first decision; otherwise None.

    `record` is the run record of certificates.parquet.
    """
    decisions = (record or {}).get("decisions", {})
    if decisions.get("most", 1) < 2:
        return None
    return (
        f"Decision {decisions['most']} on this image and network; alpha covers one.",
        f"Of these certificates, {decisions['later']} follow earlier decisions on the same image and network, with a "
        "different sigma, n0, n, seed, tau, alpha, method or looks. The results may have been chosen after seeing "
        "those.",
    )


def _append(path: Path, plan: Sequence[Settings]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        # One write of a complete line: other processes may append at the same time, and an earlier one may be cut off.
        os.write(handle, f"\n{json.dumps(plan, sort_keys=True)}\n".encode())
    finally:
        os.close(handle)


def _plans(path: Path) -> list[list[dict[str, Any]]]:
    """Read the plans in a file, each without decisions that an earlier plan contains. Damaged lines are left out."""
    try:
        lines = path.read_bytes().split(b"\n") if path.exists() else []
    except OSError as error:
        log.warning("%s: cannot be read (%s); earlier decisions are unknown", path, error.strerror)
        return []
    plans: list[list[dict[str, Any]]] = []
    known: list[dict[str, Any]] = []
    for line in filter(bytes.strip, lines):
        try:
            plan = parse_json(line)
            if not (isinstance(plan, list) and all(isinstance(each, dict) for each in plan)):
                raise ValueError("not a list of decisions")
            plan = [{"looks": [], **each} for each in plan]  # earlier versions knew no looks
            if any(each.keys() != set(SETTINGS) for each in plan):
                raise ValueError("a decision with other settings")
        except ValueError as error:
            log.warning("%s: a line is damaged (%s); the decisions in it are lost", path, error)
            continue
        if new := [each for each in plan if each not in known]:
            plans.append(new)
            known += new
    return plans
