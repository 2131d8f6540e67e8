"""Read files from folders and from untrusted archives.

Zip archives are read in place. Tar, 7z and rar archives do not allow efficient random access, so they are unpacked into
a temporary folder next to the archive. An entire archive is rejected if it is too large or contains a link, a device,
or a name that leads out of the target folder (such as ../a.png).
"""

import bz2
import contextlib
import dataclasses
import functools
import glob
import gzip
import hashlib
import lzma
import os
import re
import shutil
import stat
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, cast

from segcert.data.errors import DataError

MAX_MEMBER_BYTES = 128 << 20
MAX_MEMBERS = 200_000
# The total size of the unpacked files may be up to MAX_GROWTH times the size of the archive, or up to FREE_BYTES if
# this is larger.
MAX_GROWTH = 20
FREE_BYTES = 4 << 30

RAR_UNIX = 3  # value of HostOS for members written on Unix; their FileAttr is a Unix file mode

STRAY = ("thumbs.db", "desktop.ini", "__macosx")


@dataclasses.dataclass(frozen=True)
class File:
    """A file in an archive or a folder.

    Attributes
    ----------
    path
        Path relative to the archive or folder, with "/" as the separator.
    source
        Path of the archive or folder, as shown in messages.
    load
        Function that returns the file's bytes.
    sha256
        Recorded SHA-256 of the bytes; None if it was not recorded.
    """

    path: str
    source: str
    load: Callable[[], bytes]
    sha256: str | None = None

    def __str__(self) -> str:
        return f"{self.source}: {self.path}"

    def read(self) -> bytes:
        """Return the file's bytes.

        If the file cannot be read or has changed, raises a DataError that names it.
        """
        try:
            data = self.load()
        except Exception as error:  # each archive library has its own errors
            raise DataError(f"{self} cannot be read ({error}); get a new copy of the file") from error
        if self.sha256 and hashlib.sha256(data).hexdigest() != self.sha256:
            raise DataError(
                f"{self} has changed since its digest was recorded; delete manifest.json and run snakemake again"
            )
        return data


class Member(NamedTuple):
    """An archive member: its name, its unpacked size in bytes, and `plain`, which is False for links and devices."""

    name: str
    bytes: int
    plain: bool


def is_archive(path: Path) -> bool:
    """Return True if the file name ends with the suffix of a supported archive format."""
    return path.name.lower().endswith(tuple(KINDS))


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[list[File]]:
    """Yield a list of the files in a zip, tar, 7z or rar archive. Stray files (see `is_stray`) are skipped.

    The files can be read only inside the context. Raises DataError for a damaged, truncated or hostile archive. An
    archive is hostile if at least one of the following is true:

    - it contains a link, a device or a file name that leads out of the folder;
    - a member unpacks to more than 128 MiB;
    - the members together unpack to more than 4 GiB and to more than 20 times the size of the archive;
    - it contains more than 200,000 members.
    """
    _check(path, list_archive(path))
    kind = _kind(path)
    if kind.unpack is None:
        with zipfile.ZipFile(path) as archive:
            lock = threading.Lock()
            yield [
                File(info.filename.replace("\\", "/"), str(path), functools.partial(_read_zip, archive, lock, info))
                for info in archive.infolist()
                if not info.is_dir() and not is_stray(info.filename)
            ]
        return
    for abandoned in path.parent.glob(f".{glob.escape(path.stem)}.*.part"):  # left by a job that was killed
        shutil.rmtree(abandoned)
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}.", suffix=".part", dir=path.parent) as folder:
        with _named(path):
            kind.unpack(path, Path(folder))
        yield [dataclasses.replace(file, source=str(path)) for file in list_folder(Path(folder))]


def list_archive(path: Path) -> list[Member]:
    """List the files in an archive without unpacking it. Raises DataError for a damaged or truncated archive."""
    with _named(path):
        return _kind(path).members(path)


def list_folder(folder: Path) -> list[File]:
    """List the files in a folder and its subfolders, sorted by path.

    Symbolic links are followed, and stray files (see `is_stray`) are skipped.
    """
    relative, seen = [], set()
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(root, name)) not in seen]
        seen |= {os.path.realpath(os.path.join(root, name)) for name in folders}
        relative += [Path(root, name).relative_to(folder).as_posix() for name in names if Path(root, name).is_file()]
    relative.sort()
    return [File(path, str(folder), (folder / path).read_bytes) for path in relative if not is_stray(path)]


def ends_with(pattern: str, path: str) -> re.Match[str] | None:
    """Match a pattern against a path or against its last components, so that the file may be in any folder."""
    return re.fullmatch(f"(?:.*/)?{pattern}", path)


def is_stray(path: str) -> bool:
    """Return True for hidden files and for files that file managers create, such as Thumbs.db and .DS_Store."""
    return any(part.startswith(".") or part.lower() in STRAY for part in PurePosixPath(path.replace("\\", "/")).parts)


def _check(path: Path, members: Sequence[Member]) -> None:
    limit = max(FREE_BYTES, MAX_GROWTH * path.stat().st_size)
    for member in members:
        name = PurePosixPath(member.name.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or re.match("[A-Za-z]:", member.name):
            raise DataError(f"{path}: contains {member.name!r}, which would be unpacked outside the folder. {_REFUSED}")
        if not member.plain:
            raise DataError(f"{path}: contains {member.name!r}, which is a link or a device. {_REFUSED}")
        if member.bytes > MAX_MEMBER_BYTES:
            raise DataError(
                f"{path}: {member.name} unpacks to {member.bytes >> 20} MiB; the limit for a file is "
                f"{MAX_MEMBER_BYTES >> 20} MiB. {_REFUSED}"
            )
    unpacked = sum(member.bytes for member in members)
    if len(members) > MAX_MEMBERS or unpacked > limit:
        raise DataError(
            f"{path}: contains {len(members)} files that unpack to {unpacked >> 20} MiB; the limits are {MAX_MEMBERS} "
            f"files and {limit >> 20} MiB. {_REFUSED}"
        )


_REFUSED = "The archive was not opened. Download it from its official address"


def _zip_members(path: Path) -> list[Member]:
    with zipfile.ZipFile(path) as archive:
        return [
            Member(info.orig_filename, info.file_size, not stat.S_ISLNK(info.external_attr >> 16))
            for info in archive.infolist()
            if not info.is_dir() or ".." in info.orig_filename
        ]


def _read_zip(archive: zipfile.ZipFile, lock: threading.Lock, info: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a member of a zip archive.

    Reads at most one byte more than the size that the archive states for the member.
    """
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"found compression method {info.compress_type}; expected 0 (stored) or 8 (deflated)")
    with lock, archive.open(info) as member:  # zipfile's count of open members is not thread-safe
        return member.read(info.file_size + 1)


class _Bounded:
    """A stream that limits the size of each read, because a hostile tar header may request gigabytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.seek, self.tell, self.close = stream.seek, stream.tell, stream.close

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes. Raises DataError if `size` is negative or exceeds the size limit of a member."""
        if not 0 <= size <= MAX_MEMBER_BYTES:
            raise DataError(
                f"reading the archive requires {size >> 20} MiB of memory; the limit is {MAX_MEMBER_BYTES >> 20} MiB. "
                f"{_REFUSED}"
            )
        return self.stream.read(size)


@contextlib.contextmanager
def _open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    openers: dict[str, Callable[[Path], Any]] = {
        ".gz": gzip.open,
        ".tgz": gzip.open,
        ".bz2": bz2.open,
        ".xz": lzma.open,
    }
    opener = openers.get(path.suffix.lower(), functools.partial(open, mode="rb"))
    with opener(path) as stream, tarfile.open(fileobj=cast("IO[bytes]", _Bounded(stream)), mode="r:") as archive:
        yield archive


def _tar_members(path: Path) -> list[Member]:
    with _open_tar(path) as archive:
        return [Member(info.name, info.size, info.isfile()) for info in archive if not info.isdir()]


def _unpack_tar(path: Path, folder: Path) -> None:
    with _open_tar(path) as archive:
        archive.extractall(folder, filter="data")


def _seven_zip_members(path: Path) -> list[Member]:
    import py7zr

    with py7zr.SevenZipFile(path) as archive:
        return [
            Member(file.filename, file.uncompressed, not (file.is_symlink or file.is_junction or file.is_socket))
            for file in archive.files
            if not file.is_directory
        ]


def _unpack_seven_zip(path: Path, folder: Path) -> None:
    import py7zr

    with py7zr.SevenZipFile(path) as archive:
        archive.extractall(folder)  # noqa: S202 (the members were checked)


def _rar_members(path: Path) -> list[Member]:
    from unrar.cffi.rarfile import RarFile

    members = []
    for info in RarFile(path).infolist():
        header = info._header.headerDataEx
        link = bool(header.RedirType) or (header.HostOS == RAR_UNIX and stat.S_ISLNK(header.FileAttr))
        if not info.is_dir():
            members.append(Member(info.filename, info.file_size, not link))
    return members


def _unpack_rar(path: Path, folder: Path) -> None:
    """Unpack a rar archive in one pass. Only the members' bytes are written, so links are never created."""
    from unrar.cffi.rarfile import RarInfo
    from unrar.cffi.unrarlib import RarArchive

    with RarArchive.open_for_processing(path) as archive:
        for header in archive.iterate_headers():
            if RarInfo(header).is_dir():
                header.skip()
                continue
            target = folder / header.FileNameW.replace("\\", "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                header.test(file.write)


class _Kind(NamedTuple):
    """Functions that list and unpack archives of one format. `unpack` is None for a format that is read in place."""

    members: Callable[[Path], list[Member]]
    unpack: Callable[[Path, Path], None] | None


_TAR = _Kind(_tar_members, _unpack_tar)
KINDS = {
    ".zip": _Kind(_zip_members, None),
    ".7z": _Kind(_seven_zip_members, _unpack_seven_zip),
    ".rar": _Kind(_rar_members, _unpack_rar),
    **dict.fromkeys((".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"), _TAR),
}
SIGNATURES = {".zip": b"PK\x03\x04", ".rar": b"Rar!", ".7z": b"7z\xbc\xaf\x27\x1c", ".tar.gz": b"\x1f\x8b"}


def _kind(path: Path) -> _Kind:
    return next(kind for suffix, kind in KINDS.items() if path.name.lower().endswith(suffix))


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Convert every error from an archive library to a DataError that names the archive."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{path}: {_content(path, error)}") from error


def _content(path: Path, error: Exception) -> str:
    """Return an error message, with advice, for a file that is not the kind of archive that its suffix indicates."""
    with path.open("rb") as file:
        start = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] == b"<":
        return "is a web page, not an archive; download the archive itself, which may require registration"
    for suffix, signature in SIGNATURES.items():
        if start.startswith(signature) and KINDS[suffix] is not _kind(path):
            return f"is a {suffix} archive; rename the file to {path.name}{suffix}"
    return f"damaged or incomplete archive ({error}); delete it and run snakemake again"
