"""SHA-256 digests of files, values and arrays, and a store for values that rules refer to by digest."""

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
CACHE_LIMIT = 2**24  # in bytes; a larger cache file is deleted and rebuilt
# The process that plans a run stores values here; the run's jobs write these values in full into their run records.
VALUES = Path(".segcert/known")
_values: dict[str, Any] = {}  # values that this process stored


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file (64 hexadecimal digits). The file is read as a stream."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def value_digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value. The order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def array_digest(array: npt.NDArray[Any]) -> str:
    """Return the SHA-256 of an array's type, shape and elements (little-endian, C order)."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    header = f"{array.dtype.str} {array.shape}\n".encode()
    return hashlib.sha256(header + array.tobytes()).hexdigest()


def store_value(value: Any, *, write: bool = True) -> str:
    """Store a JSON value and return its digest. With `write=False`, only this process can load the value."""
    digest = value_digest(value)
    _values[digest] = value
    if write and _read_value(digest) is None:
        with atomic_file(VALUES / f"{digest}.json") as temporary:
            temporary.write_text(json.dumps(value))
    return digest


def load_value(digest: str | None) -> Any:
    """Return the value that was stored under a digest, or None if it is missing or does not match the digest."""
    return _values.get(digest or "") or _read_value(digest)


def _read_value(digest: str | None) -> Any:
    try:
        value = parse_json((VALUES / f"{digest}.json").read_bytes())
    except (OSError, ValueError):
        return None
    return value if value_digest(value) == digest else None


class DigestCache:
    """Cache of file digests (SHA-256). A file is read again only if its inode, size or times have changed.

    Programs can set a file's modification time (mtime), but not the time of its last status change (ctime). A file is
    therefore read again even if its size and mtime were restored after an edit. Several processes may share the cache
    file, because they only append complete lines to it. If the cache file cannot be written, the files are read again
    next time. Plans and run records use this cache; an audit reads every file.

    Parameters
    ----------
    root
        The checkout.
    write
        If True, new digests are written to the cache file. If False, they are kept only in this process.
    """

    _unwritten: ClassVar[dict[str, str]] = {}

    def __init__(self, root: str | Path = ".", *, write: bool = True) -> None:
        self.file, self.write = Path(root, CACHE), write
        text = self.file.read_text(errors="replace") if self.file.exists() else ""
        if len(text) > CACHE_LIMIT and write:
            self.file.unlink(missing_ok=True)
        self._digests: dict[str, str] = self._unwritten | dict(
            re.findall(r"^(\d+ \d+ \d+ \d+ \d+) ([0-9a-f]{64})$", text, re.MULTILINE)
        )

    def digest(self, path: str | Path) -> str:
        """Return the SHA-256 of a file. Raises OSError if the file cannot be read."""
        before = _identity(path)
        if before not in self._digests:
            digest = file_digest(path)
            if _identity(path) != before:  # the file changed while it was read
                return digest
            self._digests[before] = digest
            if not self.write:
                self._unwritten[before] = digest
                return digest
            with contextlib.suppress(OSError):  # full or read-only disk: the file is read again next time
                self.file.parent.mkdir(parents=True, exist_ok=True)
                handle = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
                try:
                    os.write(handle, f"{before} {digest}\n".encode())
                finally:
                    os.close(handle)
        return self._digests[before]


def _identity(path: str | Path) -> str:
    status = os.stat(path)
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
