"""Parse JSON from untrusted files. Any problem raises a ValueError."""

import json
from pathlib import PurePosixPath
from typing import Any


def parse_json(text: str | bytes, *, infinite: bool = False) -> Any:
    """Parse JSON. Bytes are decoded as UTF-8.

    Raises ValueError for invalid JSON, and for values that are nested too deeply for the parser. NaN and Infinity are
    not valid JSON and also raise ValueError, unless `infinite` is true.
    """
    try:
        return json.loads(text, parse_constant=None if infinite else _no_number)
    except RecursionError:
        raise ValueError("values are nested too deeply") from None


def _no_number(name: str) -> Any:
    raise ValueError(f"found {name}, which is not a JSON number")


def leads_out(path: str) -> bool:
    """Return True if a path may lead out of its folder because it is absolute or contains "..".

    Also return True if the path contains a null byte.
    """
    return "\0" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts
