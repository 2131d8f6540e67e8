"""Check that files are unchanged since jobs made them, and that later jobs read the unchanged files."""

from collections.abc import Set

from segcert.audit.findings import Evidence, Finding, Findings, finding_unless
from segcert.data.dataset import digests_of, read_index
from segcert.data.errors import DataError
from segcert.provenance.lineage import Job, Lineage
from segcert.provenance.records import SUFFIX
from segcert.provenance.snakemake_metadata import job_artifacts


def check_files(evidence: Evidence) -> Findings:
    """Check that each file that a job made exists, and that its SHA-256 is the one in the run record."""
    for job in evidence.lineage.jobs:
        for path, sha256 in (job.outputs | job.extra_outputs).items():
            found = evidence.digests.sha256(path)
            if found is None:
                archive = path in job.extra_outputs and path.startswith("data/raw/")  # may be deleted after preparation
                yield Finding(path, "is missing, so its checksum cannot be compared", broken=not archive)
            else:
                message = f"was changed after `{job.name}` made it: SHA-256 is {found}, the run record says {sha256}"
                yield finding_unless(found == sha256, path, message)


def check_links(evidence: Evidence) -> Findings:
    """Check that jobs read their inputs as other jobs made them, and that all other inputs are unchanged."""
    lineage = evidence.lineage
    for path, reason in lineage.unreadable.items():
        yield Finding(path, "is not a run record; restore it, or make its artifact again", error=reason)
    for path, reason in lineage.misplaced.items():
        yield Finding(path, reason, broken=False)
    page = f"reports/{lineage.run}/index.html"
    if not lineage.files and page not in lineage.makers and (evidence.root / page).exists():
        yield Finding(page, "has no run record, so the job that made it is unknown; delete it and run snakemake again")
    made_by_jobs = job_artifacts(evidence.root)  # these artifacts need a run record
    for job in lineage.jobs:
        for path, sha256 in job.inputs.items():
            yield _link(evidence, made_by_jobs, job, path, sha256)
    if not lineage.files:
        for path in _orphaned_files(lineage):
            yield Finding(path, "is left over: the report does not depend on it", broken=False)


def _orphaned_files(lineage: Lineage) -> list[str]:
    """Return the first output of each orphaned job, and the results that no run record lists."""
    made = {path for job in (*lineage.jobs, *lineage.orphaned) for path in job.outputs}
    unknown = []
    for path in (lineage.root / "results" / lineage.run).rglob("*"):
        name = path.relative_to(lineage.root).as_posix()
        if path.is_file() and not path.name.startswith(".") and name not in made and not name.endswith(SUFFIX):
            unknown.append(name)
    return [*(job.output for job in lineage.orphaned), *sorted(unknown)]


def _link(evidence: Evidence, made_by_jobs: Set[str], job: Job, path: str, sha256: str) -> Finding | None:
    maker = evidence.lineage.makers.get(path)
    if maker:
        made = (maker.outputs | maker.extra_outputs)[path]
        message = f"`{job.name}` read {path} with SHA-256 {sha256}, but `{maker.name}` made it with {made}"
        return finding_unless(made == sha256, job.output, f"{message}: the output is stale, or a record was edited")
    if path in made_by_jobs:
        return Finding(path, f"was made by a job but has no run record, and `{job.name}` read it")
    found = evidence.digests.sha256(path)
    if found is None:
        return Finding(path, f"is missing, and no job makes it; `{job.name}` read SHA-256 {sha256}. Restore it")
    message = f"has changed since `{job.name}` read it: SHA-256 was {sha256} and is now {found}. No job makes this file"
    return finding_unless(found == sha256, path, message)


def check_indexes(evidence: Evidence) -> Findings:
    """Check that each data set's images and masks are those that its index.csv lists."""
    for job in evidence.lineage.jobs:
        index = next((path for path in job.outputs if path.endswith("/index.csv")), None)
        if index is None:
            continue
        try:
            listed = digests_of(read_index(evidence.root / index), index.rpartition("/")[0])
        except DataError as error:
            yield Finding(index, "is not an index of prepared images", error=str(error))
            continue
        for path in sorted(listed.keys() | job.extra_outputs.keys()):
            same = listed.get(path) == job.extra_outputs.get(path)
            yield finding_unless(same, index, f"disagrees with the run record of `{job.name}` about {path}")
