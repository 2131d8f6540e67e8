"""Copy or download a data set's official archives to data/raw, and check them before use.

An archive that is already in data/raw is used, even if it was renamed or unpacked. Otherwise it is copied from a mirror
or downloaded from its official address. A mirror is a folder or URL that contains the archives, under their official
names, and their checksums in a file named SHA256SUMS. A file gets its final name only when its checksum has been
verified. A file is quarantined as <name>.rejected if its checksum is wrong, or if it is not an archive at all. An
example is a web page that was saved under the archive's name.
"""

import hashlib
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from segcert.data.archives import KINDS, ends_with, is_archive, list_archive, list_folder
from segcert.data.catalogue import Archive, Dataset, how_to_get, terms
from segcert.data.download import download, public, read_small
from segcert.data.errors import DataError
from segcert.data.manifest import MANIFEST, write_manifest
from segcert.io.atomic import atomic_file
from segcert.io.progress import log
from segcert.provenance.digests import file_digest

UNFINISHED = (".part", ".unverified", ".rejected", ".record.json", MANIFEST)


def fetch(about: Dataset, folder: str | Path, mirror: str | None = None) -> None:
    """Find a data set's archives in `folder`, copy or download the missing ones, and write `folder`/manifest.json.

    For each archive, the manifest states whether it is the official release. The value is true or false, or null if no
    checksum was published. It may be false for a file from a mirror.

    Raises DataError, with advice, if an archive is not available or its checksum is wrong.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    print(terms(about), file=sys.stderr)
    log.info("%s", terms(about))
    sums = _published_sums(mirror) if mirror else {}
    there = {archive.name: _files_there(archive, folder, mirror, sums) for archive in about.archives}
    lacking = [archive for archive in about.archives if not there[archive.name]]
    by_hand = [archive for archive in lacking if not archive.url and not _in_mirror(archive, sums)]
    if by_hand:
        raise DataError(
            f"{about.title}: {', '.join(archive.name for archive in by_hand)} cannot be downloaded automatically. "
            f"{how_to_get(about, by_hand)}"
        )
    for archive in lacking:
        there[archive.name] = [_get(archive, folder, mirror, sums)]
    found = {path: archive for archive in about.archives for path in there[archive.name]}
    entries, loose = [], {}
    for path, archive in found.items():
        name = path.relative_to(folder).as_posix()
        if not is_archive(path):
            loose[name] = path
            continue
        digest = file_digest(path)
        official = _is_official(archive, path, digest)
        if not official:
            _check_content(about, archive, path)
        if official is False:
            log.warning("%s: this file is not from the official release", path)
        entries.append({"name": name, "bytes": path.stat().st_size, "sha256": digest, "official": official})
    write_manifest(folder, about.name, entries, loose)


def _files_there(archive: Archive, folder: Path, mirror: str | None, sums: Mapping[str, str]) -> list[Path]:
    """Return the paths in the folder that belong to an archive: the archive itself, or its unpacked files.

    The archive may have any file name. The list is empty if the folder contains neither. Raises DataError if the
    checksum is wrong and there is no mirror from which to get the archive again.
    """
    loose = [folder / file.path for file in list_folder(folder) if not file.path.endswith(UNFINISHED)]
    archives = sorted(filter(is_archive, loose), key=lambda path: path.name != archive.name)
    for path in archives:
        if path != folder / archive.name and not any(
            ends_with(archive.holds, member.name) for member in list_archive(path)
        ):
            continue
        digest = file_digest(path)
        official, listed = _is_official(archive, path, digest), sums.get(path.name)
        if digest != listed and (official is False or (official is None and listed)):
            rejected = _quarantine(path)
            if not mirror:
                raise DataError(
                    f"{path}: found SHA-256 {digest}; expected {_expected(archive)}. The file was not used and was "
                    f"renamed to {rejected}. If the download was damaged, get a new copy. If the file is from a "
                    "mirror, add --config mirror=..."
                )
            log.warning("%s: this is not the published file; it was renamed to %s", path, rejected)
            continue
        if path.name != archive.name:
            log.info("%s: used as %s", path, archive.name)
        return [path]
    return [path for path in loose if ends_with(archive.holds, path.relative_to(folder).as_posix())]


def _get(archive: Archive, folder: Path, mirror: str | None, sums: Mapping[str, str]) -> Path:
    """Copy or download an archive from the mirror or from its official address. Return the path of the local file.

    Raises DataError if the archive is not available or has the wrong checksum.
    """
    name = _in_mirror(archive, sums)
    if mirror and not name:
        raise DataError(
            f"{public(mirror)}/SHA256SUMS: contains no checksum for {archive.name}; add the output of "
            f"`sha256sum {archive.name}`"
        )
    source = f"{str(mirror).rstrip('/')}/{name}" if name else str(archive.url)
    target = folder / (name or archive.name)
    unverified = target.with_name(f"{target.name}.unverified")
    if not unverified.exists() and source.startswith(("http://", "https://")):
        download(source, unverified, unverified.stem)
    elif not unverified.exists():
        path = Path(source).expanduser()
        if not path.is_file():
            raise DataError(f"{public(source)}: not found in the mirror; add the file to the mirror, or unset `mirror`")
        with atomic_file(unverified) as temporary:
            shutil.copyfile(path, temporary)
    digest = file_digest(unverified)
    official = digest == sums[name] if name else _is_official(archive, unverified, digest)
    if official is None:
        log.info("%s: no checksum was published; recorded SHA-256 %s", target.name, digest)
    elif not official:
        expected = sums[name] if name else _expected(archive)
        raise DataError(
            f"{public(source)}: found SHA-256 {digest}; expected {expected}. The file was not used and was renamed to "
            f"{_quarantine(unverified, target)}. If the download was damaged, run snakemake again. If this is a new "
            "release, check it and update the catalogue"
        )
    unverified.replace(target)
    return target


def _check_content(about: Dataset, archive: Archive, path: Path) -> None:
    """Quarantine a file and raise DataError if it is not an archive that contains the expected files."""
    try:
        members = list_archive(path)
    except DataError as error:
        found = str(error).removeprefix(f"{path}: ")
    else:
        if any(ends_with(archive.holds, member.name.replace("\\", "/")) for member in members):
            return
        found = f"contains no file {archive.holds}"
    raise DataError(
        f"{path}: {found}. This file is not the expected archive {archive.name}. The file was not used and was "
        f"renamed to {_quarantine(path)}. {how_to_get(about, [archive])}"
    )


def _is_official(archive: Archive, path: Path, digest: str) -> bool | None:
    """Return True if a file has the published checksum, False if not, and None if no checksum was published."""
    if archive.sha256:
        return digest == archive.sha256
    if not archive.md5:
        return None
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return found == archive.md5


def _expected(archive: Archive) -> str:
    return archive.sha256 or f"MD5 {archive.md5}"


def _in_mirror(archive: Archive, sums: Mapping[str, str]) -> str | None:
    """Return the file name of an archive in a mirror, or None if the mirror does not contain it.

    The suffix in the mirror may be different.
    """
    stem = archive.name.rsplit(".", 1)[0]
    return next((name for name in (archive.name, *(f"{stem}{suffix}" for suffix in KINDS)) if name in sums), None)


def _quarantine(path: Path, named: Path | None = None) -> Path:
    """Rename a file to <name>.rejected (or <name>.2.rejected, ... if that name is taken). Return the new path."""
    name = (named or path).name
    rejected, number = path.with_name(f"{name}.rejected"), 2
    while rejected.exists():
        rejected, number = path.with_name(f"{name}.{number}.rejected"), number + 1
    path.replace(rejected)
    return rejected


def _published_sums(mirror: str) -> dict[str, str]:
    """Read a mirror's SHA256SUMS. Return a dict that maps file names to checksums."""
    address = f"{mirror.rstrip('/')}/SHA256SUMS"
    if mirror.startswith(("http://", "https://")):
        text = read_small(address).decode(errors="replace")
    elif Path(address).expanduser().is_file():
        text = Path(address).expanduser().read_text(errors="replace")
    else:
        raise DataError(
            f"{public(address)}: no such file; create it with `sha256sum * > SHA256SUMS`, or unset `mirror`"
        )
    sums = {}
    for line in filter(str.strip, text.splitlines()):
        digest, _, name = line.strip().partition(" ")
        if not name:
            raise DataError(f"{public(address)}: found the line {line!r}; expected `<SHA-256>  <file name>`")
        sums[name.strip().removeprefix("*").removeprefix("./")] = digest.lower()
    return sums
