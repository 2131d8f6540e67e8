"""Run records: what a job read, ran and made, in a JSON file beside its first output.

A record may come with a run of others: none is believed before each of its fields holds what it should.
"""

from pathlib import Path
from typing import Any

SUFFIX = ".record.json"
FORMAT = "segcert-record-2"


class RecordError(ValueError):
    """A file that is no run record, or code that changed between the plan and the job."""


def record_path(artifact: str | Path) -> Path:
    """Where the run record of an artifact stands."""
    return Path(f"{artifact}{SUFFIX}")


def read_record(artifact: str | Path) -> dict[str, Any]:
    """The run record of an artifact; empty if it has none. Raises RecordError if it cannot be read."""
    path = record_path(artifact)
    return load_record(path) if path.exists() else {}


def load_record(path: str | Path) -> dict[str, Any]:
    """A run record, by its own path. Raises RecordError for a file that is none."""
    from segcert.io.json_models import read_document  # here: every job imports this module, and few read records
    from segcert.provenance.models import Record

    advice = "bring it back with dvc checkout, or make what it stands beside again: snakemake --force "
    return read_document(path, Record, RecordError, "not a run record", advice + str(path).removesuffix(SUFFIX))
