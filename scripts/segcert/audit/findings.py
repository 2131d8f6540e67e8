"""What checks have to say, and the files that they read."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

import segcert
from segcert.provenance.code import CodeFile
from segcert.provenance.lineage import Job, Lineage
from segcert.provenance.records import SUFFIX

CHUNK = 2**20
OTHER_CODE = "ran with code other than the code here, so their results were not checked again"


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that a check found at a file.

    broken: a link of the chain does not hold. Otherwise a notice: what a reader of the numbers should know.
    error: the text of the error that the check met, if it met one. It stays out of what jobs write: code digests do
    not cover the wording of errors.
    shared: the reason for a notice that many jobs may share. A terminal prints one line for all of them.
    """

    path: str
    message: str
    broken: bool = True
    error: str = ""
    shared: str = ""

    @property
    def artifact(self) -> str:
        """The artifact that the file speaks of: a run record stands for what it stands beside."""
        return self.path.removesuffix(SUFFIX)

    @property
    def text(self) -> str:
        """The message, and the error in parentheses."""
        return f"{self.message} ({' '.join(self.error.split())})" if self.error else self.message


def finding_unless(fine: object, path: str, message: str, *, broken: bool = True) -> Finding | None:
    """Nothing if all is well, else a finding."""
    return None if fine else Finding(path, message, broken)


# A check yields, for each thing that it looks at, what it found, or None where all is well.
Findings = Iterator[Finding | None]


class FreshDigests:
    """SHA-256 and MD5 of the files of a checkout, each read once and no cache trusted."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._both = functools.cache(self._read)

    def sha256(self, path: str) -> str | None:
        """SHA-256 of a file, or None if it is not there."""
        return self._both(path)[0]

    def md5(self, path: str) -> str | None:
        """MD5, which DVC names files by, or None if the file is not there."""
        return self._both(path)[1]

    def _read(self, path: str) -> tuple[str, str] | tuple[None, None]:
        if not (self._root / path).is_file():
            return None, None
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with (self._root / path).open("rb") as file:
            while chunk := file.read(CHUNK):
                sha256.update(chunk)
                md5.update(chunk)
        return sha256.hexdigest(), md5.hexdigest()


def changed_code(job: Job) -> Finding | None:
    """A notice if the library at hand is not the code that a job ran, so that nothing can be made again by it."""
    library = Path(segcert.__file__).parents[1]
    for name, digest in job.record["code"].items():
        if not name.startswith("segcert/"):
            continue
        if not (library / name).exists() or CodeFile.read(library / name).digest != digest:
            words = f"`{job.name}` ran with another {name} than is here, so it was not done again"
            return Finding(job.output, words, broken=False, shared=OTHER_CODE)
    return None


def index_path(job: Job) -> str:
    """The index of the data set that a job read."""
    return next(path for path in job.inputs if path.endswith("/index.csv"))


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What checks go by: the lineage of a run, and its files."""

    lineage: Lineage
    digests: FreshDigests

    @property
    def root(self) -> Path:
        """The checkout."""
        return self.lineage.root
