"""Audit a run: from every number of its report back to the archives."""

import dataclasses
import functools
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from segcert.audit.checks.archives import check_archives
from segcert.audit.checks.certificates import check_decisions
from segcert.audit.checks.code import check_code, check_environment
from segcert.audit.checks.dvc import check_packed_records, check_pointers
from segcert.audit.checks.files import check_files, check_indexes, check_links
from segcert.audit.checks.settings import check_settings
from segcert.audit.checks.tables import check_collection, check_page, check_tables
from segcert.audit.findings import Evidence, Finding, Findings, FreshDigests
from segcert.provenance.lineage import Lineage

Check = Callable[[Evidence], Findings]

CHECKS: dict[str, Check] = {
    "files are what their jobs made": check_files,
    "jobs read what others made": check_links,
    "indexes name the prepared images": check_indexes,
    "archives are those published": check_archives,
    "settings are those of the page": check_settings,
    "records agree with git": check_code,
    "packages are those locked": check_environment,
    "pointers name the artifacts": check_pointers,
    "records that travel agree": check_packed_records,
    "votes give the certificates": check_decisions,
    "certificates give the collection": check_collection,
    "the collection gives the tables": check_tables,
    "the page shows the tables": check_page,
}
# Of what is there only once the page is
AFTER_THE_PAGE = (check_settings, check_pointers, check_packed_records, check_page)
BEFORE_THE_PAGE = {title: check for title, check in CHECKS.items() if check not in AFTER_THE_PAGE}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a check looked at and found; seconds of wall time."""

    title: str
    count: int
    findings: list[Finding]
    seconds: float

    @property
    def broken(self) -> list[Finding]:
        """The links that do not hold."""
        return [finding for finding in self.findings if finding.broken]

    @property
    def notices(self) -> list[Finding]:
        """What a reader of the numbers should know."""
        return [finding for finding in self.findings if not finding.broken]


@dataclasses.dataclass(frozen=True)
class Audit:
    """An audit of a run: its lineage, and what each check found."""

    lineage: Lineage
    outcomes: list[Outcome]

    @property
    def passed(self) -> bool:
        """Whether every link holds."""
        return self.first is None

    @functools.cached_property
    def first(self) -> Finding | None:
        """The first broken link in the order of the work; None where every link holds."""
        broken = [finding for outcome in self.outcomes for finding in outcome.broken]
        return min(broken, key=lambda finding: self.lineage.place(finding.artifact), default=None)

    @functools.cached_property
    def downstream(self) -> list[str]:
        """Every file that was made from the first broken link, directly or not."""
        return self.lineage.downstream(self.first.artifact) if self.first else []

    def as_json(self) -> dict[str, Any]:
        """The audit as plain JSON."""
        return {
            "run": self.lineage.run,
            "passed": self.passed,
            "jobs": len(self.lineage.jobs),
            "checks": [dataclasses.asdict(outcome) for outcome in self.outcomes],
            "first_broken": self.first and dataclasses.asdict(self.first),
            "downstream": self.downstream,
        }

    def as_artifact(self) -> dict[str, Any]:
        """The audit as plain JSON without the seconds that it took and the texts of errors: the same in each run."""
        document = self.as_json()
        for check in document["checks"]:
            del check["seconds"]
            for finding in check["findings"]:
                del finding["error"]
        if document["first_broken"]:
            del document["first_broken"]["error"]
        return document


def audit(run: str, root: str | Path = ".", checks: dict[str, Check] = CHECKS, files: Collection[str] = ()) -> Audit:
    """Audit a run of a checkout, or what some files `of` it rest on. Every file is read, no cache trusted.

    Raises LineageError if the run is not there.
    """
    lineage = Lineage.read(run, root, files)
    evidence = Evidence(lineage, FreshDigests(lineage.root))
    outcomes = []
    for title, check in checks.items():
        start, count = time.monotonic(), 0
        found: list[Finding] = []
        try:
            for finding in check(evidence):
                count += 1
                if finding:
                    found.append(finding)
        except Exception as error:  # of a file that is spoiled in a way of its own: what others find has to be said
            found.append(Finding(f"results/{run}", f"the check that {title} ended early", error=repr(error)))
        outcomes.append(Outcome(title, count, found, round(time.monotonic() - start, 2)))
    return Audit(lineage, outcomes)
