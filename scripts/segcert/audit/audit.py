"""Audit a run: check every link from the numbers in its report back to the archives."""

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
    "archives are the published ones": check_archives,
    "settings match the page": check_settings,
    "records agree with git": check_code,
    "packages match the lock files": check_environment,
    "pointers name the artifacts": check_pointers,
    "packed run records match": check_packed_records,
    "votes give the certificates": check_decisions,
    "certificates give the collection": check_collection,
    "the collection gives the tables": check_tables,
    "the page shows the tables": check_page,
}
# Checks of files that do not exist until the page has been written
AFTER_THE_PAGE = (check_settings, check_pointers, check_packed_records, check_page)
BEFORE_THE_PAGE = {title: check for title, check in CHECKS.items() if check not in AFTER_THE_PAGE}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of a check: the title, the number of inspected items, the findings, and the wall time in seconds."""

    title: str
    count: int
    findings: list[Finding]
    seconds: float

    @property
    def broken(self) -> list[Finding]:
        """Findings that report broken links."""
        return [finding for finding in self.findings if finding.broken]

    @property
    def notices(self) -> list[Finding]:
        """Findings that readers of the numbers should know about, although no link is broken."""
        return [finding for finding in self.findings if not finding.broken]


@dataclasses.dataclass(frozen=True)
class Audit:
    """An audit of a run: its lineage and the outcome of each check."""

    lineage: Lineage
    outcomes: list[Outcome]

    @property
    def passed(self) -> bool:
        """True if no link is broken."""
        return self.first is None

    @functools.cached_property
    def first(self) -> Finding | None:
        """First broken link in topological order, or None if no link is broken."""
        broken = [finding for outcome in self.outcomes for finding in outcome.broken]
        return min(broken, key=lambda finding: self.lineage.position(finding.artifact), default=None)

    @functools.cached_property
    def downstream(self) -> list[str]:
        """Files that depend on the first broken link, directly or indirectly."""
        return self.lineage.downstream(self.first.artifact) if self.first else []

    def as_json(self) -> dict[str, Any]:
        """Return the audit as plain JSON."""
        return {
            "run": self.lineage.run,
            "passed": self.passed,
            "jobs": len(self.lineage.jobs),
            "checks": [dataclasses.asdict(outcome) for outcome in self.outcomes],
            "first_broken": self.first and dataclasses.asdict(self.first),
            "downstream": self.downstream,
        }

    def as_artifact(self) -> dict[str, Any]:
        """Return the audit as plain JSON without wall times and error texts, so that it is reproducible."""
        document = self.as_json()
        for check in document["checks"]:
            del check["seconds"]
            for finding in check["findings"]:
                del finding["error"]
        if document["first_broken"]:
            del document["first_broken"]["error"]
        return document


def audit(run: str, root: str | Path = ".", checks: dict[str, Check] = CHECKS, files: Collection[str] = ()) -> Audit:
    """Audit a run. Every file is read, and no cache is trusted.

    Parameters
    ----------
    run
        Name of the run.
    root
        The checkout.
    checks
        Dict that maps titles to the checks to make.
    files
        Files of the run to audit, by default the complete report. All files that they depend on are audited too.

    Returns
    -------
    Audit

    Raises
    ------
    LineageError
        If the run does not exist or its records contradict each other.
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
        # A damaged file may raise any error. Earlier findings of this check, and all other checks, are still reported.
        except Exception as error:
            found.append(Finding(f"results/{run}", f"the check that {title} failed with an error", error=repr(error)))
        outcomes.append(Outcome(title, count, found, round(time.monotonic() - start, 2)))
    return Audit(lineage, outcomes)
