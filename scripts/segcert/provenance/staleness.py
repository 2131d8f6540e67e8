"""Changes of files that Snakemake would not notice.

Snakemake compares the checksum of an input only if the input is newer than the output. It misses a changed input that
is older (copied with its times, restored from a backup), and a changed file that a job made without declaring it
(images, archives). Both are found here before Snakemake plans. Run records say what was read and made, and the cache of
digests makes the comparison cheap. File times are then set so that Snakemake notices the changes.
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
CRATES = ".crate"  # suffix of folders with copies of a run
TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.part(\.[^.]*)?")  # names that atomic_file and atomic_folder use
DAY = 86400.0


class MisplacedRecordError(RecordError):
    """A run record that is not next to its artifact."""


def find_records(
    root: str | Path = ".", instead: Mapping[str, Path] = MappingProxyType({})
) -> Iterator[tuple[Path, dict[str, Any] | RecordError]]:
    """Yield the path and content of every run record of a checkout; a RecordError in place of an invalid record.

    A record that is not next to its artifact, such as one in a backup of a folder, gives a MisplacedRecordError and is
    ignored. Links to folders are followed; crates and hidden folders are skipped.

    Parameters
    ----------
    root
        The checkout.
    instead
        Files to read in place of the run records at some paths, whether or not records exist there.
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
    """Return the record in `file`, judged as if it were at `path`, or an error."""
    try:
        record = load_record(file)
    except RecordError as error:
        return error
    if outside := next(filter(leads_out, (*record["outputs"], *record.get("holds", {}))), None):
        return MisplacedRecordError(f"{path}: names the output {outside}, which is outside the checkout; it is ignored")
    first = next(iter(record["outputs"]))
    if path.relative_to(root) != record_path(first):
        return MisplacedRecordError(f"{path}: is the run record of {first}, but is not next to it; it is ignored")
    return record


@dataclasses.dataclass(frozen=True)
class Changes:
    """Changes of a checkout.

    Attributes
    ----------
    artifacts
        Artifacts that are not what their job made.
    times
        File times by path, in seconds since 1970, with which Snakemake notices all changes.
    """

    artifacts: list[str]
    times: dict[str, float]

    def warnings(self) -> list[str]:
        """Return a message for each artifact that is not what its job made."""
        return [
            f"{artifact}: is not what its job made (see its run record). Everything made from it is rerun. To restore "
            f"it: dvc checkout. To make it again: snakemake --force {artifact}"
            for artifact in self.artifacts
        ]


def find_changes(root: str | Path, digests: DigestCache, instead: Mapping[str, Path]) -> Changes:
    """Find the inputs that are not what a job read, and the artifacts that are not what their job made. Writes nothing.

    If an input changed but is not newer, the first output of the job gets a time before that of the input, so that
    Snakemake compares them. Nothing else depends on times. A file with a time in the future (the clock was set back
    since) gets the present time, because Snakemake refuses an output that is older than an input.

    Parameters
    ----------
    root
        The checkout.
    digests
        SHA-256 of files.
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
        changed_inputs = []  # their times
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
                "%s: its time cannot be set (%s); Snakemake may miss a change or refuse an output",
                name,
                error,
            )


def delete_temporary_files(root: str | Path = ".", age: float = DAY) -> list[str]:
    """Delete temporary files and folders that were not touched for `age` seconds; return their paths.

    No writer pauses for a day, so active writers, for example of another run on the same disk, keep their files.
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
    """Return the newest time of a file, or of a folder and its contents; the present time if it disappears."""
    try:
        return max(each.lstat().st_mtime for each in (path, *path.rglob("*")))
    except OSError:
        return time.time()
