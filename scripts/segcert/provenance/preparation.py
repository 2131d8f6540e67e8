"""Prepare a checkout before Snakemake plans its jobs. A run makes the necessary changes; a dry run only finds them."""

import dataclasses
from pathlib import Path
from typing import Any

from segcert.provenance.digests import DigestCache
from segcert.provenance.records import RecordError, load_record, read_record, record_path
from segcert.provenance.snakemake_metadata import RestoredMetadata, read_packed_metadata, write_metadata
from segcert.provenance.staleness import Changes, delete_temporary_files, find_changes, set_times


@dataclasses.dataclass
class Preparation:
    """Changes that a checkout needs before Snakemake plans its jobs. They are found by `look` and `write`.

    Attributes
    ----------
    root
        The checkout.
    restored
        Packed Snakemake metadata to restore after a pull.
    changes
        Changed files that Snakemake would not notice, and the file times to set so that it notices them.
    metadata
        Dict that maps artifacts to Snakemake's records from a bucket.
    writes
        True if this process may write to the checkout.
    """

    root: Path = Path()
    restored: RestoredMetadata = dataclasses.field(default_factory=RestoredMetadata)
    changes: Changes = dataclasses.field(default_factory=lambda: Changes([], {}))
    metadata: dict[str, bytes] = dataclasses.field(default_factory=dict)
    writes: bool = False

    def look(self) -> "Preparation":
        """Find the changes without writing anything, and return this object."""
        digests = DigestCache(self.root, write=False)
        self.restored = read_packed_metadata(self.root, digests)
        self.changes = find_changes(self.root, digests, self.restored.records)
        return self

    def write(self) -> None:
        """Find the changes and make them. Temporary files left by interrupted jobs are deleted too."""
        self.writes = True
        delete_temporary_files(self.root)
        digests = DigestCache(self.root)
        write_metadata(self.metadata, self.root)
        read_packed_metadata(self.root, digests).write(self.root)
        self.changes = find_changes(self.root, digests, {})
        set_times(self.changes.times, self.root)

    def record(self, artifact: str) -> dict[str, Any]:
        """Return an artifact's run record, or {} if there is none. Raises RecordError if the record cannot be read."""
        packed = self.restored.records.get(record_path(artifact).as_posix())
        return load_record(packed) if packed else read_record(self.root / artifact)

    def changed_extra_outputs(self, output: str, *, missing: bool) -> dict[str, Any]:
        """Return a job's extra outputs (images, archives) that changed after the job made them, for a rule's params.

        Parameters
        ----------
        output
            The first declared output of the job.
        missing
            True to count missing files as changed.

        Returns
        -------
        Dictionary with two keys. `since` is the time at which the job ended. `files` maps the path of each changed file
        to its current SHA-256 (None if the file is missing). If nothing changed, the dictionary is copied from the
        job's run record, so that a change that is undone does not make the job run again. The dictionary is empty if
        the output has no readable run record.
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
            found = digests.digest(name) if Path(name).is_file() else None
            if found != sha256 and (found or missing):
                now[name] = found
        before: dict[str, Any] = record["params"].get("changed_extra_outputs", {})
        return {"since": record["ended"], "files": now} if now else before
