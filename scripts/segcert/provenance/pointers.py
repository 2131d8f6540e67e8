"""DVC pointers, through DVC's command (the library does not import DVC)."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def add_to_dvc(folders: Sequence[str], root: str | Path = ".") -> None:
    """Put folders into DVC's cache and write a pointer <folder>.dvc for each. Raises SystemExit with DVC's words."""
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "add", *folders]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"segcert: dvc add {' '.join(folders)}: {(done.stderr or done.stdout).strip()}")
