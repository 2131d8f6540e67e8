"""What each field of a run record has to hold. No record is believed before: it may come with a run of others."""

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


def wrong_fields(record: Mapping[str, Any]) -> list[str]:
    """The fields of a record that are missing or hold something else than they should."""
    wrong = [name for name, holds in FIELDS.items() if name not in record or not holds(record[name])]
    return wrong + [name for name, holds in OPTIONAL.items() if name in record and not holds(record[name])]


def leads_out(path: str) -> bool:
    """Whether a path leads out of the folder that it is relative to."""
    return "\0" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts


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
