"""What checks have to say, and the files that they read."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

import segcert
from segcert.provenance.code import CodeFile
from segcert.provenance.lineage import Job, Lineage
from segcert.provenance.snakemake_metadata import known_artifacts

CHUNK = 2**20


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that a check found at a file.

    broken: a link of the chain does not hold. Otherwise a notice: what a reader of the numbers should know.
    error: the text of the error that the check met, if it met one. It stays out of what jobs write: code digests do
    not cover the wording of errors.
    """

    path: str
    message: str
    broken: bool = True
    error: str = ""

    @property
    def text(self) -> str:
        """The message, and the error in parentheses."""
        return f"{self.message} ({' '.join(self.error.split())})" if self.error else self.message


def unless(fine: object, path: str, message: str, *, broken: bool = True) -> Finding | None:
    """Nothing if all is well, else a finding."""
    return None if fine else Finding(path, message, broken)


# A check yields, for each thing that it looks at, what it found, or None where all is well.
Findings = Iterator[Finding | None]


class FreshDigests:
    """SHA-256 and MD5 of the files of a checkout, each read once and no cache trusted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, tuple[str, str] | None] = {}

    def sha256(self, path: str) -> str | None:
        """SHA-256 of a file, or None if it is not there."""
        both = self._of(path)
        return both and both[0]

    def md5(self, path: str) -> str | None:
        """MD5, which DVC names files by, or None if the file is not there."""
        both = self._of(path)
        return both and both[1]

    def _of(self, path: str) -> tuple[str, str] | None:
        if path not in self._known:
            self._known[path] = _read(self.root / path) if (self.root / path).is_file() else None
        return self._known[path]


def other_code(job: Job) -> Finding | None:
    """A notice if the library at hand is not the code that a job ran, so that nothing can be made again by it."""
    library = Path(segcert.__file__).parents[1]
    changed = [
        name
        for name, digest in job.record["code"].items()
        if name.startswith("segcert/")
        and not ((library / name).exists() and CodeFile.read(library / name).digest == digest)
    ]
    if not changed:
        return None
    words = f"`{job.name}` ran with another {changed[0]} than is here, so it was not done again"
    return Finding(next(iter(job.outputs)), words, broken=False)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What checks go by: the lineage of a run, and its files."""

    lineage: Lineage
    digests: FreshDigests

    @functools.cached_property
    def made_by_jobs(self) -> frozenset[str]:
        """The files that jobs made, as Snakemake knows them here or the trail does: those need a run record."""
        return known_artifacts(self.root)

    @property
    def root(self) -> Path:
        """The checkout."""
        return self.lineage.root


def _read(path: Path) -> tuple[str, str]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            sha256.update(chunk)
            md5.update(chunk)
    return sha256.hexdigest(), md5.hexdigest()
