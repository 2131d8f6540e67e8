"""Build archives from the fuzzer's bytes, so that mutations reach the members despite the archive's checksums.

An input that begins with MARK lists members: for each, its name, a line break and its bytes, with SEPARATOR between
members. Every other input is used as the file itself.
"""

import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

MARK, SEPARATOR = b"members\n", b"\n==8<==\n"
MOST = 40


def packed(members: Mapping[str, bytes]) -> bytes:
    """Return the input that represents an archive with the given members."""
    return MARK + SEPARATOR.join(name.encode() + b"\n" + content for name, content in members.items())


def members_of(data: bytes) -> dict[str, bytes] | None:
    """Return the members that an input represents; None if the input is the file itself."""
    if not data.startswith(MARK):
        return None
    parts = (part.partition(b"\n") for part in data.removeprefix(MARK).split(SEPARATOR)[:MOST])
    return {name.decode(errors="replace"): content for name, _, content in parts}


def write_members(path: Path, names: Iterable[str]) -> None:
    """Write the members of the input at `path` next to it, under the given names, which a reader expects."""
    members = members_of(path.read_bytes()) or {}
    for name in names:
        (path.parent / name).parent.mkdir(exist_ok=True)
        (path.parent / name).write_bytes(members.get(name, b""))


def as_zip(data: bytes) -> bytes:
    """Convert an input to a zip archive (.npz, .pt) of its members."""
    members = members_of(data)
    if members is None:
        return data
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name or "x"), content)
    return buffer.getvalue()


def as_tar(data: bytes) -> bytes:
    """Convert an input to a tar archive. A member whose name begins with @ becomes a link; its content is the path."""
    members = members_of(data)
    if members is None:
        return data
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in members.items():
            about = tarfile.TarInfo(name.removeprefix("@"))
            about.size = len(content)
            if name.startswith("@"):
                about.type, about.linkname, about.size = tarfile.SYMTYPE, content.decode(errors="replace"), 0
            file.addfile(about, io.BytesIO(content))
    return buffer.getvalue()


def unpacked(archive: bytes) -> bytes:
    """Convert a zip archive to the input that represents it."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return packed({name: file.read(name) for name in file.namelist()})
