"""Differences between the values in two JSON documents."""

import json
import math
from collections.abc import Collection, Iterator
from typing import Any

ROUNDING = 1e-9  # relative difference that can occur between different versions of the libraries
LARGEST = 1e300  # a larger integer may not be representable as a float
LONGEST = 80  # largest number of characters of a value in an error message
Path = tuple[str | int, ...]  # the keys and list positions that lead to a value


def differences(found: Any, expected: Any, skipped: Collection[Path], path: Path = ()) -> Iterator[str]:
    """Yield a description of each value in a JSON document that differs from the value in the expected document.

    A missing value is equal to null. Floats may differ by rounding. Values whose paths are in `skipped`, for example
    ("image", "path"), are not compared.
    """
    if path in skipped:
        return
    if isinstance(found, dict) and isinstance(expected, dict):
        for name in [*expected, *(found.keys() - expected.keys())]:
            yield from differences(found.get(name), expected.get(name), skipped, (*path, name))
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from differences(one, other, skipped, (*path, place))
    elif not _is_same(found, expected):
        key = ".".join(map(str, path))
        yield f"{key}: found {_shown(found)}; the votes and the image give {_shown(expected)}"


def _is_same(found: Any, expected: Any) -> bool:
    if isinstance(expected, float) and type(found) in (int, float):
        return abs(found) < LARGEST and math.isclose(found, expected, rel_tol=ROUNDING, abs_tol=0)
    return type(found) is type(expected) and bool(found == expected)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
