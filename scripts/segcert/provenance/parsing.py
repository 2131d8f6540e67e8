"""JSON from files of others: whatever is wrong with it is one kind of error."""

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """The value that JSON (UTF-8, where it comes as bytes) stands for.

    Raises ValueError for anything else, values nested too deeply for the parser among it.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("values are nested too deeply") from None
