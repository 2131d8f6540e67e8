"""What has changed since it was read or made? Contents decide, and Snakemake is told in its own terms.

Snakemake compares the checksum of an input only where the input is newer than the output. An input that changed and is
older (copied with its times, restored from a backup) goes unseen, and so does a file that a job made beside those that
its rule declares (images, archives). Both are looked for here, before a plan is made: run records say what was read and
made, and the cache of digests makes it cheap to ask again.
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
CRATES = ".crate"  # the ending of folders that hold copies of a run
TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.part(\.[^.]*)?")  # as atomic_file and atomic_folder name them
DAY = 86400.0


class MisplacedRecordError(RecordError):
    """A run record that does not stand beside what it speaks of."""


def find_records(
    root: str | Path = ".", instead: Mapping[str, Path] = MappingProxyType({})
) -> Iterator[tuple[Path, dict[str, Any] | RecordError]]:
    """The run records of everything that runs made below `root`, with the path of each; an error for one that is none.

    A record speaks of what it stands beside: in a copy of a folder (a backup, say) it counts for nothing, which is an
    MisplacedRecordError. Folders that are links are followed; crates and hidden folders are passed over. `instead` names files
    that count as the run records at these paths, whether or not there are others.
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
    """The record that stands in a file, or would stand in another place."""
    try:
        record = load_record(file)
    except RecordError as error:
        return error
    if outside := next(filter(leads_out, (*record["outputs"], *record.get("holds", {}))), None):
        return MisplacedRecordError(
            f"{path}: says that {outside} was made, outside of the checkout, so it counts for nothing"
        )
    first = next(iter(record["outputs"]))
    if path.relative_to(root) != record_path(first):
        return MisplacedRecordError(
            f"{path}: is the run record of {first} and does not stand beside it, so it counts for nothing"
        )
    return record


@dataclasses.dataclass(frozen=True)
class Changes:
    """Artifacts that are not what their job made; times by path (seconds since 1970) at which Snakemake sees it all."""

    artifacts: list[str]
    times: dict[str, float]

    def warnings(self) -> list[str]:
        """A line for each artifact that is not what its job made."""
        return [
            f"{artifact}: is not what its job made (see its run record). What is made from it is made again. To have "
            f"it back: dvc checkout. To make it again: snakemake --force {artifact}"
            for artifact in self.artifacts
        ]


def find_changes(root: str | Path, digests: DigestCache, instead: Mapping[str, Path]) -> Changes:
    """Every input that is not what a job read, and every artifact that is not what its job made. Writes nothing.

    Of a job whose input changed though it is not newer, the first output is to be older than the input, so that
    Snakemake compares them. Times decide nothing else. What was made in the future, by a clock that was set back since,
    is to be made now: Snakemake refuses what a job makes if it is older than what the job read. `instead`: see
    `find_records`.
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
        others = []
        for name, sha256 in record["inputs"].items():
            if (root / name).is_file() and digests.digest(root / name) != sha256:
                others.append(min(now, (root / name).stat().st_mtime))
        if others and made and min(now, (root / made[0]).stat().st_mtime) >= min(others):
            times[made[0]] = min(others) - 1
    return Changes(changed, times)


def set_times(times: Mapping[str, float], root: str | Path = ".") -> None:
    """Set the times of files; one that cannot be set is a line in the log."""
    for name, seconds in times.items():
        try:
            os.utime(Path(root, name), (seconds, seconds))
        except OSError as error:
            log.warning(
                "%s: its time cannot be set (%s), so that Snakemake may miss a change or refuse what is made",
                name,
                error,
            )


def delete_temporary_files(root: str | Path = ".", age: float = DAY) -> list[str]:
    """Delete the temporary files and folders of writers that are gone: not touched for `age` seconds, a day.

    No writer pauses for that long, so one that is at work (in another run on the same disk, say) keeps its file.
    Returns what was deleted.
    """
    before, swept = time.time() - age, list[str]()
    for top in (*KEPT, ".segcert"):
        for place, folders, files in os.walk(Path(root, top)):
            for name in filter(TEMPORARY.fullmatch, (*folders, *files)):
                path = Path(place, name)
                if _last_touched(path) < before:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                    swept.append(path.relative_to(root).as_posix())
    return swept


def _last_touched(path: Path) -> float:
    """The newest time of a file, or of a folder and all that it holds; now, if it goes away meanwhile."""
    try:
        return max(each.lstat().st_mtime for each in (path, *path.rglob("*")))
    except OSError:
        return time.time()
