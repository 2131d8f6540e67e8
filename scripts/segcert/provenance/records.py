"""Run records: JSON files next to a job's first output that describe what the job read, ran and made.

A record may come from other people, so every field is validated before it is used.
"""

from pathlib import Path
from typing import Any

SUFFIX = ".record.json"
FORMAT = "segcert-record-2"


class RecordError(ValueError):
    """Error for a file that is not a run record, or for code that changed between the plan and the job."""


def record_path(artifact: str | Path) -> Path:
    """Return the path of an artifact's run record."""
    return Path(f"{artifact}{SUFFIX}")


def read_record(artifact: str | Path) -> dict[str, Any]:
    """Return an artifact's run record, or {} if there is none. Raises RecordError if the record cannot be read."""
    path = record_path(artifact)
    return load_record(path) if path.exists() else {}


def load_record(path: str | Path) -> dict[str, Any]:
    """Return the run record at a path. Raises RecordError if the file is not a run record."""
    # Imported here to save time: every job imports this module, but few jobs read records.
    from segcert.io.json_models import read_document
    from segcert.provenance.models import Record

    advice = "restore it with dvc checkout, or make its artifact again: snakemake --force "
    return read_document(path, Record, RecordError, "not a run record", advice + str(path).removesuffix(SUFFIX))
