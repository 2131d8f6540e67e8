"""Bring the official archives of a data set into data/raw, checked before use.

What lies there already is taken: an archive, under any name, or its unpacked folder. Else an archive comes from a
mirror (a folder or URL that holds files of the official names and a `SHA256SUMS`) or from its official address. Nothing
stands under its final name before its checksum was compared; what has another is put aside as <name>.rejected.
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
    """Put the archives of a data set into `folder`, or find them there, and write `folder`/manifest.json.

    The manifest says of each whether it is the official release: true, false (a mirror may hold another), or null where
    no checksum was published.

    Raises DataError when an archive cannot be had or its checksum is wrong; it says what to do.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    print(terms(about), file=sys.stderr)
    log.info("%s", terms(about))
    sums = _published_sums(mirror) if mirror else {}
    there = {archive.name: _lying_there(archive, folder, mirror, sums) for archive in about.archives}
    lacking = [archive for archive in about.archives if not there[archive.name]]
    by_hand = [archive for archive in lacking if not archive.url and not _in_mirror(archive, sums)]
    if by_hand:
        raise DataError(
            f"{about.title}: {', '.join(archive.name for archive in by_hand)} cannot be fetched without a person. "
            f"{how_to_get(about, by_hand)}"
        )
    for archive in lacking:
        there[archive.name] = [_bring(archive, folder, mirror, sums)]
    found = {path: archive for archive in about.archives for path in there[archive.name]}
    entries, loose = [], {}
    for path, archive in found.items():
        name = path.relative_to(folder).as_posix()
        if not is_archive(path):
            loose[name] = path
            continue
        digest = file_digest(path)
        official = _is_official(archive, path, digest)
        if official is False:
            log.warning("%s: not the official release", path)
        entries.append({"name": name, "bytes": path.stat().st_size, "sha256": digest, "official": official})
    write_manifest(folder, about.name, entries, loose)


def _lying_there(archive: Archive, folder: Path, mirror: str | None, sums: Mapping[str, str]) -> list[Path]:
    """What was put into the folder of an archive, under its own name or another, or unpacked; empty if nothing was."""
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
            rejected = _put_aside(path)
            if not mirror:
                raise DataError(
                    f"{path}: SHA-256 is {digest}, expected {_expected(archive)}; put aside as "
                    f"{rejected}, not used. A damaged download? Get it again. From a mirror? Name it again: "
                    "--config mirror=..."
                )
            log.warning("%s: not what was published; put aside as %s", path, rejected)
            continue
        if path.name != archive.name:
            log.info("%s: taken for %s", path, archive.name)
        return [path]
    return [path for path in loose if ends_with(archive.holds, path.relative_to(folder).as_posix())]


def _bring(archive: Archive, folder: Path, mirror: str | None, sums: Mapping[str, str]) -> Path:
    """Fetch an archive from the mirror or its address; return where it stands."""
    name = _in_mirror(archive, sums)
    if mirror and not name:
        raise DataError(
            f"{public(mirror)}/SHA256SUMS: has no line for {archive.name}; add `sha256sum {archive.name}` to it"
        )
    source = f"{str(mirror).rstrip('/')}/{name}" if name else str(archive.url)
    target = folder / (name or archive.name)
    unverified = target.with_name(f"{target.name}.unverified")
    if not unverified.exists() and source.startswith(("http://", "https://")):
        download(source, unverified, unverified.stem)
    elif not unverified.exists():
        path = Path(source).expanduser()
        if not path.is_file():
            raise DataError(f"{public(source)}: no such file in the mirror; put it there, or leave `mirror` out")
        with atomic_file(unverified) as temporary:
            shutil.copyfile(path, temporary)
    digest = file_digest(unverified)
    official = digest == sums[name] if name else _is_official(archive, unverified, digest)
    if official is None:
        log.info("%s: no published checksum; recorded SHA-256 %s", target.name, digest)
    elif not official:
        expected = sums[name] if name else _expected(archive)
        raise DataError(
            f"{public(source)}: SHA-256 is {digest}, expected {expected}; put aside as "
            f"{_put_aside(unverified, target)}, not used. A damaged download? Run snakemake again. "
            "A new release? Check it and change the catalogue"
        )
    unverified.replace(target)
    return target


def _is_official(archive: Archive, path: Path, digest: str) -> bool | None:
    """Whether a file, of this SHA-256, is what was published; None where no checksum was."""
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
    """The name under which a mirror lists an archive: its own, or with the ending of another kind of archive."""
    stem = archive.name.rsplit(".", 1)[0]
    return next((name for name in (archive.name, *(f"{stem}{suffix}" for suffix in KINDS)) if name in sums), None)


def _put_aside(path: Path, named: Path | None = None) -> Path:
    """Rename a file to <name>.rejected (or, so that nothing is lost, <name>.2.rejected and so on)."""
    name = (named or path).name
    rejected, number = path.with_name(f"{name}.rejected"), 2
    while rejected.exists():
        rejected, number = path.with_name(f"{name}.{number}.rejected"), number + 1
    path.replace(rejected)
    return rejected


def _published_sums(mirror: str) -> dict[str, str]:
    """The checksums of a mirror's SHA256SUMS, by file name."""
    address = f"{mirror.rstrip('/')}/SHA256SUMS"
    if mirror.startswith(("http://", "https://")):
        text = read_small(address).decode(errors="replace")
    elif Path(address).expanduser().is_file():
        text = Path(address).expanduser().read_text(errors="replace")
    else:
        raise DataError(
            f"{public(address)}: no such file; put it there (`sha256sum * > SHA256SUMS`), or leave `mirror` out"
        )
    sums = {}
    for line in filter(str.strip, text.splitlines()):
        digest, _, name = line.strip().partition(" ")
        if not name:
            raise DataError(f"{public(address)}: found the line {line!r}; expected `<SHA-256>  <file name>`")
        sums[name.strip().removeprefix("*").removeprefix("./")] = digest.lower()
    return sums
