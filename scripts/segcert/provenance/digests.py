"""SHA-256 digests of files, values and arrays."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes (64 hexadecimal digits), read as a stream."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def value_digest(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def array_digest(array: npt.NDArray[Any]) -> str:
    """SHA-256 of an array: its type, shape and elements (little-endian, C order)."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    header = f"{array.dtype.str} {array.shape}\n".encode()
    return hashlib.sha256(header + array.tobytes()).hexdigest()
