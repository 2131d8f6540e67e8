"""Find changed files that Snakemake would not notice.

Snakemake compares an input's checksum only if the input is newer than the output. It misses a changed input that is
older, such as a restored backup or a copy with the original file times. It also misses changes to files that a job made
without declaring them (images, archives). Before Snakemake plans its jobs, this module finds such files by comparing
files with the digests in run records. A digest cache makes this fast. The module then sets file times so that Snakemake
notices the changes.
"""

import dataclasses
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from segcert.io.json_files import leads_out
from segcert.io.progress import log
from segcert.provenance.digests import DigestCache
from segcert.provenance.records import SUFFIX, RecordError, load_record, record_path

KEPT = ("data", "models", "results", "reports")
CRATES = ".crate"  # suffix of crate folders, which contain copies of a run's files
TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.part(\.[^.]*)?")  # names that atomic_file and atomic_folder create
DAY = 86400.0


class MisplacedRecordError(RecordError):
    """Error for a run record that is not next to its artifact."""


def find_records(
    root: str | Path = ".", instead: Mapping[str, Path] = MappingProxyType({})
) -> Iterator[tuple[Path, dict[str, Any] | RecordError]]:
    """Yield the path and content of every run record in a checkout.

    If a record is invalid, a RecordError is yielded instead of its content. If a record is not next to its artifact,
    for example in a backup copy of a folder, this error is a MisplacedRecordError. Links to folders are followed;
    crates and hidden folders are skipped.

    Parameters
    ----------
    root
        The checkout.
    instead
        Dict that maps the paths of run records to the files to read in their place. The run records need not exist.
    """
    for name, file in instead.items():
        yield Path(root, name), _read(Path(root, name), root, file)
    seen = set[str]()
    for top in KEPT:
        for folder, folders, files in os.walk(Path(root, top), followlinks=True):
            real = os.path.realpath(folder)
            folders[:] = [name for name in folders if not name.startswith(".") and not name.endswith(CRATES)]
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            for path in (Path(folder, name) for name in files if name.endswith(SUFFIX)):
                if path.relative_to(root).as_posix() not in instead:
                    yield path, _read(path, root, path)


def _read(path: Path, root: str | Path, file: Path) -> dict[str, Any] | RecordError:
    """Return the record in `file`, validated as if it were at `path`, or a RecordError if it is invalid."""
    try:
        record = load_record(file)
    except RecordError as error:
        return error
    if outside := next(filter(leads_out, (*record["outputs"], *record.get("holds", {}))), None):
        return MisplacedRecordError(f"{path}: ignored, because it names {outside}, which is outside the checkout")
    first = next(iter(record["outputs"]))
    if path.relative_to(root) != record_path(first):
        return MisplacedRecordError(f"{path}: ignored, because it is the run record of {first} but is not next to it")
    return record


@dataclasses.dataclass(frozen=True)
class Changes:
    """Changes that were found in a checkout.

    Attributes
    ----------
    artifacts
        Artifacts that differ from the files that their jobs made.
    times
        Dict that maps paths to the file times to set, in seconds since 1970, so that Snakemake notices all changes.
    """

    artifacts: list[str]
    times: dict[str, float]

    def warnings(self) -> list[str]:
        """Return a warning for each artifact that differs from the file that its job made."""
        return [
            f"{artifact}: differs from the file that its job made (see its run record). All jobs that depend on it run "
            f"again. To restore it: dvc checkout. To make it again: snakemake --force {artifact}"
            for artifact in self.artifacts
        ]


def find_changes(root: str | Path, digests: DigestCache, instead: Mapping[str, Path]) -> Changes:
    """Find inputs that changed after a job read them, and artifacts that changed after a job made them.

    Nothing is written. If an input changed but is not newer than the job's first output, the result contains a time for
    this output that is earlier than the input's. Snakemake then compares the checksum of the input. Nothing else
    depends on file times.

    If a file's time is in the future, because the clock was set back, the result contains the current time for this
    file. Otherwise, the output could be older than its input, and Snakemake would reject the output.

    Parameters
    ----------
    root
        The checkout.
    digests
        Cache of file digests.
    instead
        See `find_records`.
    """
    root, now = Path(root), time.time()
    changed, times = list[str](), dict[str, float]()
    for pointer in root.glob("*.dvc"):
        if pointer.stat().st_mtime > now:
            times[pointer.name] = now
    for _, record in find_records(root, instead):
        if isinstance(record, RecordError):
            continue
        made = [name for name in record["outputs"] if (root / name).is_file()]
        for name in made:
            if (root / name).stat().st_mtime > now:
                times[name] = now
            if digests.digest(root / name) != record["outputs"][name]:
                changed.append(name)
        changed_inputs = []  # modification times of the changed inputs
        for name, sha256 in record["inputs"].items():
            if (root / name).is_file() and digests.digest(root / name) != sha256:
                changed_inputs.append(min(now, (root / name).stat().st_mtime))
        if changed_inputs and made and min(now, (root / made[0]).stat().st_mtime) >= min(changed_inputs):
            times[made[0]] = min(changed_inputs) - 1
    return Changes(changed, times)


def set_times(times: Mapping[str, float], root: str | Path = ".") -> None:
    """Set the times of files. Log a warning for a time that cannot be set."""
    for name, seconds in times.items():
        try:
            os.utime(Path(root, name), (seconds, seconds))
        except OSError as error:
            log.warning(
                "%s: the modification time cannot be set (%s); Snakemake may overlook a change or reject an output",
                name,
                error,
            )


def delete_temporary_files(root: str | Path = ".", age: float = DAY) -> list[str]:
    """Delete temporary files and folders that have not been modified for `age` seconds, and return their paths.

    The default age is one day. No job pauses that long while it writes, so files that other runs are writing are kept.
    """
    before, deleted = time.time() - age, list[str]()
    for top in (*KEPT, ".segcert"):
        for folder, folders, files in os.walk(Path(root, top)):
            for name in filter(TEMPORARY.fullmatch, (*folders, *files)):
                path = Path(folder, name)
                if _last_touched(path) < before:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                    deleted.append(path.relative_to(root).as_posix())
    return deleted


def _last_touched(path: Path) -> float:
    """Return the latest modification time of a path and its contents, or the current time if the path disappears."""
    try:
        return max(each.lstat().st_mtime for each in (path, *path.rglob("*")))
    except OSError:
        return time.time()
