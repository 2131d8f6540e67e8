"""Values by their digest: which files of code, or which packages, a digest among a rule's parameters stands for.

A run remembers them, and its jobs write them out in their run records. A plan keeps them to itself.
"""

import json
from pathlib import Path
from typing import Any

from segcert.io.atomic import atomic_file
from segcert.io.json_files import parse_json
from segcert.provenance.digests import value_digest

FOLDER = Path(".segcert/known")
_known: dict[str, Any] = {}  # to this process


def remember(value: Any, *, write: bool = True) -> str:
    """Keep a JSON value, with write=False for this process alone; return its digest."""
    digest = value_digest(value)
    _known[digest] = value
    if write and _read(digest) is None:
        with atomic_file(FOLDER / f"{digest}.json") as temporary:
            temporary.write_text(json.dumps(value))
    return digest


def recall(digest: str | None) -> Any:
    """The value of a digest; None where it was not kept, or is not what the digest says."""
    return _known.get(digest or "") or _read(digest)


def _read(digest: str | None) -> Any:
    try:
        value = parse_json((FOLDER / f"{digest}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return value if value_digest(value) == digest else None
