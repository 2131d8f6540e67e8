"""Read and write the manifest of data/raw/<dataset>/, which lists the raw files and their digests."""

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
        raise ValueError(f"the manifest lists {name!r}, which is outside the folder of the manifest")
    return name


class ArchiveEntry(Part):
    """A manifest entry for one archive.

    `official` is True for the official release, False for any other file, and None if no checksum was published.
    """

    name: Annotated[str, AfterValidator(_within_the_folder)]
    bytes: int
    sha256: str
    official: bool | None


class Manifest(Part):
    """The contents of a folder of raw data: its archives, and the SHA-256 of each loose (unpacked) file."""

    dataset: str
    archives: list[ArchiveEntry] = Field([])
    files: dict[str, str] = Field({})

    def digests(self, folder: str | Path) -> dict[str, str]:
        """Return a dict that maps the path of each archive and loose file in `folder` to its SHA-256."""
        named = {archive.name: archive.sha256 for archive in self.archives} | self.files
        return {f"{folder}/{name}": sha256 for name, sha256 in named.items()}


def write_manifest(
    folder: Path, dataset: str, archives: Sequence[Mapping[str, Any]], files: Mapping[str, Path]
) -> None:
    """Write the manifest of the raw data in `folder`.

    Parameters
    ----------
    folder
        Folder of the raw files, data/raw/<dataset>/.
    dataset
        Name of the data set.
    archives
        One mapping per archive, with the keys of ArchiveEntry.
    files
        The loose files, as a dict that maps their names in the manifest to their paths.
    """
    digests = {name: file_digest(path) for name, path in track(files.items(), f"digests of {dataset}", len(files))}
    manifest = Manifest.model_validate({"dataset": dataset, "archives": archives, "files": digests})
    with atomic_file(folder / MANIFEST) as path:
        path.write_text(manifest.model_dump_json(indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest in a folder of raw data.

    Raises DataError if the manifest is missing or invalid, or lists files outside its folder.
    """
    advice = "delete it and run snakemake again"
    document = read_document(folder / MANIFEST, Manifest, DataError, "is not a valid manifest", advice)
    return Manifest.model_validate(document)


@contextlib.contextmanager
def open_raw(folder: str | Path) -> Iterator[list[File]]:
    """Yield a list of all files in a data set's archives and unpacked folders.

    The files can be read only inside the context.

    Archives are compared with the manifest when the context is entered; other files are compared when they are read.
    Raises DataError if a file is missing or differs from the manifest.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    with contextlib.ExitStack() as stack:
        files = []
        for entry in manifest.archives:
            path = folder / entry.name
            if not path.exists():
                raise DataError(f"{path}: missing; restore it, or delete {folder / MANIFEST} and run snakemake again")
            if (found := file_digest(path)) != entry.sha256:
                raise DataError(
                    f"{path}: found SHA-256 {found}; expected {entry.sha256}, as in the manifest. The archive changed "
                    f"after it was fetched. Delete the archive and {folder / MANIFEST}, and run snakemake again"
                )
            files += stack.enter_context(open_archive(path))
        for name, sha256 in manifest.files.items():
            files.append(File(name, str(folder), (folder / name).read_bytes, sha256))
        yield files
