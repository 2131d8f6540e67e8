"""DVC pointers, through DVC's command (the library does not import DVC)."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def add_to_dvc(folders: Sequence[str], root: str | Path = ".") -> None:
    """Put folders into DVC's cache and write a pointer <folder>.dvc for each. Raises SystemExit with DVC's words."""
    if not Path(root, ".git").exists():  # an unpacked source archive
        dvc("config", "--local", "core.no_scm", "true", root=root)
    dvc("add", "--quiet", *folders, root=root)


def dvc(*arguments: str, root: str | Path = ".") -> str:
    """Run DVC, waiting for its lock; return what it printed."""
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"segcert: dvc {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
