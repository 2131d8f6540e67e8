"""Findings of an audit's checks, and the evidence that the checks read."""

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
OTHER_CODE = "made by code that differs from the code here, and not recomputed"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A check's finding about a file.

    If an error occurred in the check, `error` is its text. Otherwise, `error` is empty. Jobs do not write this text to
    artifacts, because the wording of errors may change without a change in the code digest.
    """

    path: str
    message: str
    broken: bool = True  # False for a notice, which readers of the numbers should know
    error: str = ""
    shared: str = ""  # reason of a notice that may concern many results; the terminal shows one line for all of them

    @property
    def artifact(self) -> str:
        """Artifact that the finding is about. For a run record, it is the artifact that the record describes."""
        return self.path.removesuffix(SUFFIX)

    @property
    def text(self) -> str:
        """Message of the finding, followed by the error in parentheses if there was one."""
        return f"{self.message} ({' '.join(self.error.split())})" if self.error else self.message


def finding_unless(ok: object, path: str, message: str, *, broken: bool = True) -> Finding | None:
    """Return a finding unless `ok` is true."""
    return None if ok else Finding(path, message, broken)


# For each item that it inspects, a check yields a finding, or None if the item is correct.
Findings = Iterator[Finding | None]


class FreshDigests:
    """SHA-256 and MD5 of the files in a checkout. Each file is read once, and no cache on disk is used."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._both = functools.cache(self._read)

    def sha256(self, path: str) -> str | None:
        """Return the SHA-256 of a file, or None if the file does not exist."""
        return self._both(path)[0]

    def md5(self, path: str) -> str | None:
        """Return the MD5 of a file, under which DVC stores the file, or None if the file does not exist."""
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
    """Return a notice if a job ran with a different version of the library.

    The results of such a job cannot be recomputed.
    """
    library = Path(segcert.__file__).parents[1]
    for name, digest in job.record["code"].items():
        if not name.startswith("segcert/"):
            continue
        if not (library / name).exists() or CodeFile.read(library / name).digest != digest:
            message = f"`{job.name}` ran with a different version of {name}, so its results were not recomputed"
            return Finding(job.output, message, broken=False, shared=OTHER_CODE)
    return None


def index_path(job: Job) -> str:
    """Return the path of the data set index that a job read."""
    return next(path for path in job.inputs if path.endswith("/index.csv"))


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Evidence for checks: a run's lineage and the digests of its files."""

    lineage: Lineage
    digests: FreshDigests

    @property
    def root(self) -> Path:
        """Root of the checkout."""
        return self.lineage.root
