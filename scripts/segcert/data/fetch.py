"""Bring the official archives of a data set into data/raw, checked before use.

An archive comes from its official address or from a mirror: a folder or URL that holds files of the official
names and a `SHA256SUMS`. Nothing stands under its final name before its checksum was compared.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import requests

from segcert.data.catalogue import CATALOGUE, Archive
from segcert.data.errors import DataError
from segcert.progress import log, track
from segcert.provenance.atomic import atomic_file
from segcert.provenance.digests import file_digest

CHUNK = 1 << 20
TIMEOUT_S = 60


def fetch(dataset: str, folder: str | Path, mirror: str | None = None) -> None:
    """Put the archives of `dataset` into `folder` and write `folder`/manifest.json.

    The manifest has name, size and SHA-256 of each, and whether that is the official one: a mirror may hold others.

    An archive that already lies there with the right checksum is not fetched again. Raises DataError when an
    archive cannot be had or its checksum is wrong.
    """
    folder = Path(folder)
    about = CATALOGUE[dataset]
    log.info("%s: %s Cite: %s", about.title, about.terms, about.citation)
    published = _published_sums(mirror) if mirror else {}
    manifest = []
    for archive in about.archives:
        expected = published.get(archive.name) if mirror else archive.sha256
        if mirror and expected is None:
            raise DataError(
                f"{mirror}/SHA256SUMS: has no line for {archive.name}; add `sha256sum {archive.name}` to it"
            )
        target = folder / archive.name
        if not (target.exists() and file_digest(target) == expected):
            _transfer(archive, f"{str(mirror).rstrip('/')}/{archive.name}" if mirror else archive.url, target, expected)
        digest = file_digest(target)
        official = archive.sha256 is None or digest == archive.sha256
        if not official:
            log.warning("%s: not the official release, but what the mirror's SHA256SUMS lists", archive.name)
        manifest.append({"name": archive.name, "bytes": target.stat().st_size, "sha256": digest, "official": official})
    with atomic_file(folder / "manifest.json") as path:
        path.write_text(json.dumps({"dataset": dataset, "archives": manifest}, indent=2) + "\n")


def open_archives(dataset: str, folder: str | Path) -> dict[str, Path]:
    """The fetched archives of a data set by name, each compared with the manifest. Raises DataError on a difference."""
    folder = Path(folder)
    archives = {}
    for entry in json.loads((folder / "manifest.json").read_text())["archives"]:
        path = folder / entry["name"]
        if not path.exists():
            raise DataError(f"{path}: missing; delete {folder / 'manifest.json'} and run snakemake again to fetch it")
        if (found := file_digest(path)) != entry["sha256"]:
            raise DataError(
                f"{path}: SHA-256 is {found}, the manifest says {entry['sha256']}; it changed after it was fetched: "
                f"delete it and {folder / 'manifest.json'} and run snakemake again"
            )
        archives[entry["name"]] = path
    return archives


def _transfer(archive: Archive, source: str, target: Path, expected: str | None) -> None:
    rejected = target.with_name(f"{target.name}.rejected")
    with atomic_file(target) as temporary:
        digest = hashlib.sha256()
        with temporary.open("wb") as file:
            for chunk in track(_read(source), f"fetching {archive.name}"):
                file.write(chunk)
                digest.update(chunk)
        if expected is None:
            log.info("%s: no published checksum; recorded SHA-256 %s", archive.name, digest.hexdigest())
        elif digest.hexdigest() != expected:
            temporary.replace(rejected)
            raise DataError(
                f"{source}: SHA-256 is {digest.hexdigest()}, expected {expected}; put aside as {rejected}, not used. "
                "A truncated download? Run snakemake again. A new release? Check it and change the catalogue"
            )


def _read(source: str) -> Iterator[bytes]:
    """The bytes of a local path or a URL, in chunks."""
    if not source.startswith(("http://", "https://")):
        path = Path(source).expanduser()
        if not path.is_file():
            raise DataError(f"{source}: no such file in the mirror; put it there, or leave `mirror` out")
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
        return
    try:
        with requests.get(source, stream=True, timeout=TIMEOUT_S) as response:
            response.raise_for_status()
            yield from response.iter_content(CHUNK)
    except requests.RequestException as error:
        raise DataError(
            f"{source}: cannot be fetched ({error}); check the network, "
            "or name a folder or URL that has the archive: --config mirror=..."
        ) from error


def _published_sums(mirror: str) -> dict[str, str]:
    """The checksums of a mirror's SHA256SUMS, by file name."""
    text = b"".join(_read(f"{mirror.rstrip('/')}/SHA256SUMS")).decode()
    sums = {}
    for line in filter(str.strip, text.splitlines()):
        digest, _, name = line.strip().partition(" ")
        if not name:
            raise DataError(f"{mirror}/SHA256SUMS: found the line {line!r}; expected `<SHA-256>  <file name>`")
        sums[name.strip().removeprefix("*").removeprefix("./")] = digest.lower()
    return sums
