"""Claim GPUs of a machine, so that parallel jobs use different GPUs."""

import itertools
import os
import tempfile
from pathlib import Path

import filelock

from segcert.io.progress import log

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held: list[filelock.BaseFileLock] = []


def visible_gpus() -> list[str]:
    """Return the names of the GPUs that are visible to CUDA.

    The names are the entries of CUDA_VISIBLE_DEVICES, or 0, 1, ... for all GPUs of the machine if the variable is not
    set. As in CUDA, the list ends at the first entry that is empty or negative.
    """
    stated = os.environ.get(VISIBLE)
    if stated is None:
        return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]
    names = (name.strip() for name in stated.split(","))
    return list(itertools.takewhile(lambda name: name and not name.startswith("-"), names))


def claim_gpus(count: int, folder: str | Path | None = None) -> list[str]:
    """Claim `count` GPUs that no other job of this user has claimed, and make only these visible to CUDA.

    The claim ends with this process, even if the process is killed. Call this function before CUDA is initialised. If
    there is only one GPU, or if too few GPUs are free, nothing is claimed, and the process shares the visible GPUs with
    other jobs.

    `folder` contains the lock files. Returns the names of the GPUs that this process may use.
    """
    visible = visible_gpus()
    if len(visible) < 2 or not count:
        return visible
    folder = Path(folder or Path(tempfile.gettempdir(), f"segcert-gpus-{os.getuid()}"))
    folder.mkdir(mode=0o700, exist_ok=True)
    claimed: dict[str, filelock.BaseFileLock] = {}
    for name in visible:
        lock = filelock.FileLock(folder / name.replace("/", "-"))
        try:
            claimed[name] = lock.acquire(blocking=False).lock
        except filelock.Timeout:
            continue
        if len(claimed) == count:
            _held.extend(claimed.values())
            os.environ[VISIBLE] = ",".join(claimed)
            return list(claimed)
    for held in claimed.values():
        held.release()
    log.warning(
        "GPUs: %d of %d are free, but this job needs %d; it shares all GPUs with other jobs",
        len(claimed),
        len(visible),
        count,
    )
    return visible
