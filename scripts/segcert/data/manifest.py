"""data/raw/<dataset>/: what was fetched or put there, and the manifest that says what it was."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from segcert.data.archives import File, open_archive
from segcert.data.errors import DataError
from segcert.io.atomic import atomic_file
from segcert.io.json_files import leads_out
from segcert.io.json_models import Part, read_document
from segcert.io.progress import track
from segcert.provenance.digests import file_digest

MANIFEST = "manifest.json"


def _within_the_folder(name: str) -> str:
    if leads_out(name):
        raise ValueError(f"it names {name!r}, outside of its folder")
    return name


class ArchiveEntry(Part):
    """An archive: its name, size, SHA-256, and whether it is the official release (None: no checksum was published)."""

    name: Annotated[str, AfterValidator(_within_the_folder)]
    bytes: int
    sha256: str
    official: bool | None


class Manifest(Part):
    """What lies in the folder: archives, and the SHA-256 of loose files by path."""

    dataset: str
    archives: list[ArchiveEntry] = Field([])
    files: dict[str, str] = Field({})

    def digests(self, folder: str | Path) -> dict[str, str]:
        """SHA-256 of each archive and loose file in `folder`, by path."""
        named = {archive.name: archive.sha256 for archive in self.archives} | self.files
        return {f"{folder}/{name}": sha256 for name, sha256 in named.items()}


def write_manifest(
    folder: Path, dataset: str, archives: Sequence[Mapping[str, Any]], files: Mapping[str, Path]
) -> None:
    """Write the manifest of a data set: its archives (as ArchiveEntry), and loose files by what they are called."""
    digests = {name: file_digest(path) for name, path in track(files.items(), f"digests of {dataset}", len(files))}
    manifest = Manifest.model_validate({"dataset": dataset, "archives": archives, "files": digests})
    with atomic_file(folder / MANIFEST) as path:
        path.write_text(manifest.model_dump_json(indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a data set. Raises DataError when it is missing or damaged, or names files elsewhere."""
    advice = "delete it and run snakemake again"
    document = read_document(folder / MANIFEST, Manifest, DataError, "is no manifest", advice)
    return Manifest.model_validate(document)


@contextlib.contextmanager
def open_raw(folder: str | Path) -> Iterator[list[File]]:
    """Every file of a data set's archives and unpacked folders, compared with the manifest; valid in the context.

    Archives are compared at once, loose files when they are read. Raises DataError on a difference.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    with contextlib.ExitStack() as stack:
        files = []
        for entry in manifest.archives:
            path = folder / entry.name
            if not path.exists():
                raise DataError(f"{path}: missing; put it back, or delete {folder / MANIFEST} and run snakemake again")
            if (found := file_digest(path)) != entry.sha256:
                raise DataError(
                    f"{path}: SHA-256 is {found}, the manifest says {entry.sha256}; it changed after it was "
                    f"fetched: delete it and {folder / MANIFEST} and run snakemake again"
                )
            files += stack.enter_context(open_archive(path))
        for name, sha256 in manifest.files.items():
            files.append(File(name, str(folder), (folder / name).read_bytes, sha256))
        yield files
