"""Run records: what a job read, ran and made, in a JSON file beside its first output.

A record may come with a run of others: none is believed before each of its fields holds what it should.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segcert.io.json_files import parse_json

SUFFIX = ".record.json"
FORMAT = "segcert-record-2"
COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


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
    try:
        record: dict[str, Any] = parse_json(Path(path).read_bytes())
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            found = record.get("format") if isinstance(record, dict) else type(record).__name__
            raise ValueError(f"format {found!r} instead of {FORMAT!r}")
        if wrong := _wrong_fields(record):
            raise ValueError(f"the fields {', '.join(wrong)} do not hold what they should")
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{path}: not a run record ({error!r}); bring it back with dvc checkout, or make what it stands beside "
            f"again: snakemake --force {str(path).removesuffix(SUFFIX)}"
        ) from error
    return record


def _wrong_fields(record: Mapping[str, Any]) -> list[str]:
    """The fields of a record that are missing or hold something else than they should."""
    wrong = [name for name, holds in FIELDS.items() if name not in record or not holds(record[name])]
    return wrong + [name for name, holds in OPTIONAL.items() if name in record and not holds(record[name])]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_text, value.values()))


def _paths(value: Any) -> bool:
    """Digests by path."""
    return _texts(value) and not any("\0" in path for path in value)


def _made(value: Any) -> bool:
    return _paths(value) and bool(value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _git(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and {"commit", "clean", "changed"} <= value.keys()
        and (value["commit"] is None or (_text(value["commit"]) and bool(COMMIT.fullmatch(value["commit"]))))
        and value["clean"] in (None, True, False)
        and isinstance(value["changed"], list)
        and all(map(_text, value["changed"]))
    )


def _packages(value: Any) -> bool:
    """Versions and digests by name, as of `provenance.environment`."""
    return _texts(value) and all(entry.split() for text in value.values() for entry in text.split(", "))


def _params(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str | None) for name in ("code", "environment"))


FIELDS: dict[str, Callable[[Any], bool]] = {
    "rule": _text, "wildcards": _texts, "params": _params, "inputs": _paths, "outputs": _made, "code": _texts,
    "environment": _packages, "locks": _texts, "packages": _packages, "git": _git, "started": _text, "ended": _text,
    "seconds": _number, "peak_memory_mib": _number, "threads": _number,
}  # fmt: skip
OPTIONAL: dict[str, Callable[[Any], bool]] = {"holds": _paths, "device": _text, "processor": _text}
