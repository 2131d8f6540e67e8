"""Which GPUs of a machine a process may use: of several, jobs that run side by side take one each."""

import itertools
import os
import tempfile
from pathlib import Path

import filelock

from segcert.io.progress import log

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held: list[filelock.BaseFileLock] = []


def visible_gpus() -> list[str]:
    """Names of the GPUs that CUDA shows: the entries of CUDA_VISIBLE_DEVICES, else 0, 1, ... for those of the machine.

    As for CUDA, the list ends at the first entry that is empty or negative.
    """
    stated = os.environ.get(VISIBLE)
    if stated is None:
        return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]
    names = (name.strip() for name in stated.split(","))
    return list(itertools.takewhile(lambda name: name and not name.startswith("-"), names))


def claim_gpus(count: int, folder: str | Path | None = None) -> list[str]:
    """Take `count` of several GPUs that no other job of this user holds here, and let CUDA show these alone.

    They are held until this process ends, however it ends. Must come before CUDA starts. Where one GPU is all there is,
    or too few are free, nothing is claimed and the process shares what CUDA shows. `folder` is where the locks stand.
    Returns the names of the GPUs that this process may use.
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
    log.warning("GPUs: %d of %d are free and this job wants %d; it shares them", len(claimed), len(visible), count)
    return visible
