"""Temporary files that nobody writes any more: a writer that is killed cannot remove its own."""

import os
import re
import shutil
import time
from pathlib import Path

from segcert.provenance.staleness import KEPT

PLACES = (*KEPT, ".segcert")
TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}\.part(\.[^.]*)?")  # as atomic_file and atomic_folder name them
DAY = 86400.0


def sweep_leftovers(root: str | Path = ".", age: float = DAY) -> list[str]:
    """Delete the temporary files and folders of writers that are gone: not touched for `age` seconds, a day.

    No writer pauses for that long, so one that is at work (in another run on the same disk, say) keeps its file.
    Returns what was deleted.
    """
    before, swept = time.time() - age, list[str]()
    for top in PLACES:
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
