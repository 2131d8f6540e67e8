"""Values by their digest: which files of code, or which packages, a digest among a rule's parameters stands for.

A plan remembers them, and the jobs it starts write them out in their run records.
"""

import json
from pathlib import Path
from typing import Any

from segcert.io.atomic import atomic_file
from segcert.io.json_files import parse_json
from segcert.provenance.digests import value_digest

FOLDER = Path(".segcert/known")


def remember(value: Any) -> str:
    """Keep a JSON value; return its digest."""
    digest = value_digest(value)
    path = FOLDER / f"{digest}.json"
    if recall(digest) is None:
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps(value))
    return digest


def recall(digest: str | None) -> Any:
    """The value of a digest; None where it was not kept, or is not what the digest says."""
    try:
        value = parse_json((FOLDER / f"{digest}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return value if value_digest(value) == digest else None
