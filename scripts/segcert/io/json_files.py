"""Parse JSON from untrusted files. Every problem is a ValueError."""

import json
from pathlib import PurePosixPath
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; bytes are UTF-8.

    Raises ValueError for anything else. This includes values nested too deeply for the parser, and NaN and Infinity,
    which Python's parser would accept.
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("values are nested too deeply") from None


def _no_number(name: str) -> Any:
    raise ValueError(f"found {name}, which is not a JSON number")


def leads_out(path: str) -> bool:
    """True if a path leads out of the folder that it is relative to."""
    return "\0" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts
