"""JSON from files of others: whatever is wrong with it is one kind of error."""

import json
from pathlib import PurePosixPath
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """The value that JSON (UTF-8, where it comes as bytes) stands for.

    Raises ValueError for anything else: values nested too deeply for the parser, and NaN and Infinity, which Python
    would take and which are not equal to themselves.
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("values are nested too deeply") from None


def _no_number(name: str) -> Any:
    raise ValueError(f"found {name}, which is no number of JSON")


def leads_out(path: str) -> bool:
    """Whether a path leads out of the folder that it is relative to."""
    return "\0" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts
