"""SHA-256 digests of files, values and arrays; and the values that a rule's parameters name by their digest."""

import contextlib
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from segcert.io.atomic import atomic_file
from segcert.io.json_files import parse_json

CACHE = Path(".segcert/digests.txt")
CACHE_LIMIT = 2**24  # bytes; then it starts afresh
VALUES = Path(".segcert/known")  # a run leaves values there, and its jobs write them out in their run records
_values: dict[str, Any] = {}  # to this process


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


def store_value(value: Any, *, write: bool = True) -> str:
    """Keep a JSON value, with write=False for this process alone; return its digest."""
    digest = value_digest(value)
    _values[digest] = value
    if write and _read_value(digest) is None:
        with atomic_file(VALUES / f"{digest}.json") as temporary:
            temporary.write_text(json.dumps(value))
    return digest


def load_value(digest: str | None) -> Any:
    """The value of a digest; None where it was not kept, or is not what the digest says."""
    return _values.get(digest or "") or _read_value(digest)


def _read_value(digest: str | None) -> Any:
    try:
        value = parse_json((VALUES / f"{digest}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return value if value_digest(value) == digest else None


class DigestCache:
    """SHA-256 of files, each read once while its inode, size and times stay as they are.

    The kernel sets the time of the last status change (ctime) itself, so a file whose size and mtime were put back
    after an edit is read again all the same. Several processes may share the file of the cache, which only grows by
    whole lines; where it cannot be written, files are read again. Plans and run records rest on it; an audit reads
    every file. With write=False the file stays as it is, and this process alone remembers.
    """

    _unwritten: ClassVar[dict[str, str]] = {}

    def __init__(self, root: str | Path = ".", *, write: bool = True) -> None:
        self.file, self.write = Path(root, CACHE), write
        text = self.file.read_text(errors="replace") if self.file.exists() else ""
        if len(text) > CACHE_LIMIT and write:
            self.file.unlink(missing_ok=True)
        self.known: dict[str, str] = self._unwritten | dict(
            re.findall(r"^(\d+ \d+ \d+ \d+ \d+) ([0-9a-f]{64})$", text, re.MULTILINE)
        )

    def digest(self, path: str | Path) -> str:
        """SHA-256 of a file. Raises OSError if it cannot be read."""
        before = _identity(path)
        if before not in self.known:
            digest = file_digest(path)
            if _identity(path) != before:  # written while it was read
                return digest
            self.known[before] = digest
            if not self.write:
                self._unwritten[before] = digest
                return digest
            with contextlib.suppress(OSError):  # a full disk or a read-only one: the file is read again next time
                self.file.parent.mkdir(parents=True, exist_ok=True)
                handle = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
                try:
                    os.write(handle, f"{before} {digest}\n".encode())
                finally:
                    os.close(handle)
        return self.known[before]


def _identity(path: str | Path) -> str:
    status = os.stat(path)
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
