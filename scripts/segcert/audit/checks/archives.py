"""Check that the raw archives are identical to the published archives."""

from segcert.audit.findings import Evidence, Finding, Findings
from segcert.data.catalogue import dataset
from segcert.data.errors import DataError
from segcert.data.manifest import ArchiveEntry, read_manifest


def check_archives(evidence: Evidence) -> Findings:
    """Check that the checksums of the archives that a manifest marks as official are published checksums."""
    for job in evidence.lineage.jobs:
        if job.rule != "fetch":
            continue
        path = job.output
        folder = path.rpartition("/")[0]
        try:
            manifest = read_manifest(evidence.root / folder)
        except DataError as error:
            yield Finding(path, "is not a manifest of raw files", error=str(error))
            continue
        if manifest.digests(folder) != job.extra_outputs:
            yield Finding(path, f"does not name the same archives as the run record of `{job.name}`")
        for entry in manifest.archives:
            yield _archive(evidence, manifest.dataset, f"{folder}/{entry.name}", entry)


def _archive(evidence: Evidence, name: str, path: str, entry: ArchiveEntry) -> Finding | None:
    published = dataset(name).archives
    checksums = {archive.sha256 or archive.md5 for archive in published} - {None}
    official = {entry.sha256, evidence.digests.md5(path)} & checksums
    if entry.official and evidence.digests.sha256(path) and not official:
        return Finding(path, f"is called official in the manifest, but its checksum is not published for {name}")
    if entry.official is False:
        return Finding(path, f"is not the official release of {name}: it came from a mirror", broken=False)
    if entry.official is None:
        return Finding(path, f"has no published checksum; its SHA-256 is {entry.sha256}", broken=False)
    return None
