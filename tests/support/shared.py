"""Share folders that are slow to make: make each only once for all pytest processes (pytest-xdist)."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest

DAY = 24 * 3600


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder. The first process that requests it fills it with `make`; all other processes wait.

    Tests must not change the folder; they work on copies.
    """
    base = factory.getbasetemp()
    return _filled((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"once-{name}", make)


def kept(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that `make` fills once for each `key`, a digest of its inputs. Later pytest calls reuse it.

    Folders with a different key are deleted after a day.
    """
    root = Path(tempfile.gettempdir(), f"segcert-tests-{os.getuid()}")
    root.mkdir(mode=0o700, exist_ok=True)
    for old in root.glob(f"{name}-*"):
        if not old.name.startswith(f"{name}-{key}") and time.time() - old.stat().st_mtime > DAY:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    return _filled(root / f"{name}-{key}", make)


def _filled(folder: Path, make: Callable[[Path], None]) -> Path:
    whole = folder.with_name(f"{folder.name}.whole")
    with filelock.FileLock(f"{folder}.lock"):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # left by a failed attempt
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder
