"""What takes long to make and is made once for all processes of pytest (pytest-xdist), not once in each."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills, in the first process that asks for it; the others wait, and find it filled.

    It must stay as it is: tests work on copies.
    """
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"once-{name}"
    whole = folder.with_name(f"{folder.name}.whole")
    with filelock.FileLock(f"{folder}.lock"):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of an attempt that failed
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder
