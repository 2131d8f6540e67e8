"""A checkout as Snakemake has to find it: a run makes it so, a plan only sees it so and writes nothing."""

import dataclasses
from pathlib import Path
from typing import Any

from segcert.provenance.digests import DigestCache
from segcert.provenance.records import RecordError, load_record, read_record, record_path
from segcert.provenance.snakemake_metadata import RestoredMetadata, read_packed_metadata, write_metadata
from segcert.provenance.staleness import Changes, delete_temporary_files, find_changes, set_times


@dataclasses.dataclass
class Preparation:
    """What has to change in a checkout: nothing before `look` or `write` was called.

    trail: what a trail that was pulled brings. changes: what changed unseen, and the times that show it. metadata:
    Snakemake's records from elsewhere (a bucket), by artifact. writes: whether this process writes in the checkout.
    """

    root: Path = Path()
    trail: RestoredMetadata = dataclasses.field(default_factory=RestoredMetadata)
    changes: Changes = dataclasses.field(default_factory=lambda: Changes([], {}))
    metadata: dict[str, bytes] = dataclasses.field(default_factory=dict)
    writes: bool = False

    def look(self) -> "Preparation":
        """Find out what has to change. Writes nothing."""
        digests = DigestCache(self.root, write=False)
        self.trail = read_packed_metadata(self.root, digests)
        self.changes = find_changes(self.root, digests, self.trail.records)
        return self

    def write(self) -> None:
        """Find out what has to change, and change it; what killed writers left goes, too."""
        self.writes = True
        delete_temporary_files(self.root)
        digests = DigestCache(self.root)
        write_metadata(self.metadata, self.root)
        read_packed_metadata(self.root, digests).write(self.root)
        self.changes = find_changes(self.root, digests, {})
        set_times(self.changes.times, self.root)

    def record(self, artifact: str) -> dict[str, Any]:
        """The run record of an artifact; empty if it has none. Raises RecordError if it cannot be read."""
        packed = self.trail.records.get(record_path(artifact).as_posix())
        return load_record(packed) if packed else read_record(self.root / artifact)

    def changed_extra_outputs(self, output: str, *, missing: bool) -> dict[str, Any]:
        """Files that a job made beside its declared outputs and that changed since: their SHA-256 now, None if missing.

        For a rule's parameters: while nothing has changed it is what the record of the job says it was then, so that
        the job runs again once for each change, and not for being well again. `missing`: whether files that are gone
        count. Of an output without a run record nothing is known.
        """
        try:
            record = self.record(output)
        except RecordError:
            return {}
        if not record:
            return {}
        digests = DigestCache(self.root, write=self.writes)
        now = dict[str, str | None]()
        for name, sha256 in record.get("holds", {}).items():
            there = digests.digest(name) if Path(name).is_file() else None
            if there != sha256 and (there or missing):
                now[name] = there
        before: dict[str, Any] = record["params"].get("disturbed", {})
        return {"since": record["ended"], "files": now} if now else before
