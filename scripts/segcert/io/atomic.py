"""Write files and folders atomically: a target is replaced completely or not at all."""

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

ADVICE = {
    errno.ENOSPC: "free some space there and run the same command again",
    errno.EDQUOT: "free some space there and run the same command again",
    errno.EROFS: "make it writable and run the same command again",
    errno.EACCES: "make it writable and run the same command again",
}


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield the path of a temporary file next to `path`. Rename it to `path` when the block ends without an error.

    The temporary file has the same suffix as `path`, because some writers derive the format from the suffix. After any
    error, including a full disk, the temporary file is removed and an existing `path` is unchanged.
    """
    path = Path(path)
    with _refusals_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".part{path.suffix}", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new empty folder next to `path`. Replace `path` with this folder when the block ends without an error."""
    path = Path(path)
    with _refusals_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        try:
            yield temporary
            # If the new folder inherited the setgid bit, keep it, so that new files in it also belong to the folder's
            # group.
            temporary.chmod(0o777 & ~_umask() | stat.S_IMODE(temporary.stat().st_mode) & stat.S_ISGID)
            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _refusals_named(path: Path) -> Iterator[None]:
    """Convert file system errors from any library to an OSError that names the target file."""
    try:
        yield
    except Exception as error:
        refused, number = isinstance(error, OSError), _refusal(error)
        about = str(getattr(error, "filename", None) or path)
        if not (refused or number) or not about.startswith((str(path), str(path.parent / f".{path.stem}."))):
            raise  # not a file system error, or about another file
        what = os.strerror(number) if number else str(error)
        advice = f"; {ADVICE[number]}" if number in ADVICE else ""
        raise OSError(number, f"{what}; nothing was written to this path{advice}", str(path)) from error


def _refusal(error: BaseException) -> int | None:
    """Return the errno of the file system error that caused an error; None if there was no such error.

    An OSError has the attribute `errno`. PyTorch raises its own errors while it handles an OSError, and libraries in
    Rust (safetensors) write the errno into the message. In these two cases, the errno is returned only if it is in
    ADVICE.
    """
    if isinstance(error, OSError):
        return error.errno
    stated = re.search(r"\(os error (\d+)\)", str(error))
    number = int(stated[1]) if stated else None
    behind = error.__cause__ or error.__context__
    while number is None and behind is not None:
        number = behind.errno if isinstance(behind, OSError) else None
        behind = behind.__cause__ or behind.__context__
    return number if number in ADVICE else None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
