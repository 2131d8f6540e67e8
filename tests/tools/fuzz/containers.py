"""Archives from the fuzzer's bytes: mutations of members, without the checksums of the archive in their way.

An input that begins with MARK holds members, each `name`, a line end, its bytes; SEPARATOR stands between them. Any
other input is the file as it is.
"""

import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

MARK, SEPARATOR = b"members\n", b"\n==8<==\n"
MOST = 40


def packed(members: Mapping[str, bytes]) -> bytes:
    """The input that stands for an archive of these members."""
    return MARK + SEPARATOR.join(name.encode() + b"\n" + content for name, content in members.items())


def members_of(data: bytes) -> dict[str, bytes] | None:
    """The members that an input stands for; None where it is the file as it is."""
    if not data.startswith(MARK):
        return None
    parts = (part.partition(b"\n") for part in data.removeprefix(MARK).split(SEPARATOR)[:MOST])
    return {name.decode(errors="replace"): content for name, _, content in parts}


def write_members(path: Path, names: Iterable[str]) -> None:
    """Write the members that the input at a path stands for next to it, under the names that a reader expects."""
    members = members_of(path.read_bytes()) or {}
    for name in names:
        (path.parent / name).parent.mkdir(exist_ok=True)
        (path.parent / name).write_bytes(members.get(name, b""))


def as_zip(data: bytes) -> bytes:
    """A zip archive (.npz, .pt) of the members that an input stands for."""
    members = members_of(data)
    if members is None:
        return data
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name or "x"), content)
    return buffer.getvalue()


def as_tar(data: bytes) -> bytes:
    """A tar archive of the members; of a name that begins with @ a link to its content."""
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
    """The input that stands for a zip archive."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return packed({name: file.read(name) for name in file.namelist()})
