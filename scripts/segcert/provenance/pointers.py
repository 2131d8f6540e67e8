"""DVC pointers, through DVC's command (the library does not import DVC)."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

COMMAND = (sys.executable, "-m", "dvc", "--wait-for-lock")


def add_to_dvc(folders: Sequence[str], root: str | Path = ".") -> None:
    """Put folders into DVC's cache and write a pointer <folder>.dvc for each. Raises SystemExit with DVC's words."""
    done = subprocess.run([*COMMAND, "add", *folders], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"segcert: dvc add {' '.join(folders)}: {(done.stderr or done.stdout).strip()}")


def push_to_remote(folders: Sequence[str], root: str | Path = ".") -> None:
    """Upload what the pointers of folders name to the default DVC remote. DVC's progress and errors go to the terminal.

    Raises SystemExit if the remote cannot be reached or refuses.
    """
    if subprocess.run([*COMMAND, "push", *(f"{folder}.dvc" for folder in folders)], cwd=root, check=False).returncode:
        raise SystemExit(
            "segcert: dvc push failed, for the reason that DVC gives above. Where it pushes to: dvc remote list; "
            "how to name another place and who may write there: docs/how-to/s3.md"
        )
