"""What has changed since it was read or made? Contents decide, and Snakemake is told in its own terms.

Snakemake compares the checksum of an input only where the input is newer than the output. An input that changed and is
older (copied with its times, restored from a backup) goes unseen, and so does a file that a job made beside those that
its rule declares (images, archives). Both are looked for here, before a plan is made: run records say what was read and
made, and the cache of digests makes it cheap to ask again.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segcert.io.json_files import leads_out
from segcert.io.progress import log
from segcert.provenance.digests import DigestCache
from segcert.provenance.records import SUFFIX, RecordError, load_record, read_record, record_path

KEPT = ("data", "models", "results", "reports")
CRATES = ".crate"  # the ending of folders that hold copies of a run
TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.part(\.[^.]*)?")  # as atomic_file and atomic_folder name them
DAY = 86400.0


class AstrayError(RecordError):
    """A run record that does not stand beside what it speaks of."""


def find_records(root: str | Path = ".") -> Iterator[tuple[Path, dict[str, Any] | RecordError]]:
    """The run records of everything that runs made below `root`, with the path of each; an error for one that is none.

    A record speaks of what it stands beside: in a copy of a folder (a backup, say) it counts for nothing, which is an
    AstrayError. Folders that are links are followed; crates and hidden folders are passed over.
    """
    seen = set[str]()
    for top in KEPT:
        for folder, folders, files in os.walk(Path(root, top), followlinks=True):
            real = os.path.realpath(folder)
            folders[:] = [name for name in folders if not name.startswith(".") and not name.endswith(CRATES)]
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            yield from (
                (Path(folder, name), _read(Path(folder, name), root)) for name in files if name.endswith(SUFFIX)
            )


def _read(path: Path, root: str | Path) -> dict[str, Any] | RecordError:
    try:
        record = load_record(path)
    except RecordError as error:
        return error
    if outside := next(filter(leads_out, (*record["outputs"], *record.get("holds", {}))), None):
        return AstrayError(f"{path}: says that {outside} was made, outside of the checkout, so it counts for nothing")
    first = next(iter(record["outputs"]))
    if path.relative_to(root) != record_path(first):
        return AstrayError(
            f"{path}: is the run record of {first} and does not stand beside it, so it counts for nothing"
        )
    return record


def notice_changes(root: str | Path = ".") -> list[str]:
    """Let Snakemake see every input that is not what a job read; return the artifacts that are not what their job made.

    Of a job whose input changed though it is not newer, the first output is made older than the input, so that
    Snakemake compares them. Times decide nothing else. What was made in the future, by a clock that was set back since,
    is made now: Snakemake refuses what a job makes if it is older than what the job read.
    """
    root, digests, changed = Path(root), DigestCache(root), []
    for pointer in root.glob("*.dvc"):
        _not_in_the_future(pointer)
    for _, record in find_records(root):
        if isinstance(record, RecordError):
            continue
        made = {name: sha256 for name, sha256 in record["outputs"].items() if (root / name).is_file()}
        for name in made:
            _not_in_the_future(root / name)
        changed += [name for name, sha256 in made.items() if digests.digest(root / name) != sha256]
        others = [
            root / name
            for name, sha256 in record["inputs"].items()
            if (root / name).is_file() and digests.digest(root / name) != sha256
        ]
        if others and made:
            first, than = root / next(iter(made)), min(path.stat().st_mtime for path in others)
            if first.stat().st_mtime >= than:
                _set_time(first, than - 1, "a changed input of it may go unseen")
    return changed


def disturbed(output: str | Path, *, missing: bool) -> dict[str, Any]:
    """Files that a job made beside its declared outputs and that changed since: their SHA-256 now, None if missing.

    For a rule's parameters: while nothing has changed it is what the record of the job says it was then, so that the
    job runs again once for each change, and not for being well again. `missing`: whether files that are gone count.
    """
    try:
        record: dict[str, Any] = read_record(output)
    except RecordError:
        return {}
    digests, now = DigestCache(), dict[str, str | None]()
    for name, sha256 in record.get("holds", {}).items():
        there = digests.digest(name) if Path(name).is_file() else None
        if there != sha256 and (there or missing):
            now[name] = there
    before: dict[str, Any] = record.get("params", {}).get("disturbed", {})
    return {"since": record["ended"], "files": now} if now else before


def _not_in_the_future(path: Path) -> None:
    now = time.time()
    if path.stat().st_mtime > now:
        _set_time(path, now, "it is of the future, and Snakemake may refuse what is made from it")


def _set_time(path: Path, to: float, otherwise: str) -> None:
    try:
        os.utime(path, (to, to))
    except OSError as error:
        log.warning("%s: its time cannot be set (%s); %s", path, error, otherwise)


def sweep_leftovers(root: str | Path = ".", age: float = DAY) -> list[str]:
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
