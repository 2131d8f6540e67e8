"""Write the environments' hash-locked requirement files from pyproject.toml (`make lock`).

- `lock-run.txt`: packages of `.venv` that the pipeline and `segcert` need with either build of torch.
- `lock-torch-cpu.txt`, `lock-torch-cuda.txt`: one build of torch, and the packages that only this build needs.
- `lock-dev.txt`, `lock-cluster.txt`: packages that a group of pyproject.toml adds on top of `.venv`.
- `lock-dvc.txt`, `lock-checkers.txt`, `lock-uv.txt`: all packages of a separate group.

The CPU build of torch is installed from the index or folder named in PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS.

Locked versions are kept while they meet the requirements; `--upgrade` (`make lock UPGRADE=1`) chooses the newest
versions instead. No release younger than seven days is chosen, because most tampered releases are found within that
time. The exception is torch, whose version is set below.
"""

import argparse
import datetime
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from installer import ENVS, ROOT, Uv, uv_for_locks

TORCH = "2.13.0"
AGE = datetime.timedelta(days=7)
ON_TOP = ("dev", "cluster")
APART = ("dvc", "checkers", "uv")
PYPROJECT = ROOT / "pyproject.toml"
PROJECT = (str(PYPROJECT), "--all-extras")


def lock_file(name: str) -> Path:
    """Return the path of a lock file."""
    return ENVS / f"lock-{name}.txt"


def resolve(uv: Uv, *wanted: str, kept: Sequence[Path], pins: Sequence[str] = ()) -> dict[str, str]:
    """Resolve requirements; return the requirement lines, with hashes, by package name.

    Parameters
    ----------
    wanted
        Arguments of `uv pip compile`.
    kept
        Lock files whose versions are kept while they meet the requirements.
    pins
        Required versions of packages, as in `torch==2.13.0`.
    """
    newest = datetime.datetime.now(datetime.UTC) - AGE
    with tempfile.TemporaryDirectory() as folder:
        constraint, output = Path(folder, "pins.txt"), Path(folder, "lock.txt")
        constraint.write_text("\n".join(pins) + "\n")
        output.write_text("".join(lock.read_text() for lock in kept if lock.exists()))  # uv prefers these versions
        options = ["--generate-hashes", "--no-header", "--no-annotate", "--python-version", "3.11"]
        options += ["--exclude-newer", newest.isoformat(timespec="seconds"), "--exclude-newer-package", "torch=false"]
        options += ["--constraint", str(constraint)]
        uv.compile(*wanted, *options, "--output-file", str(output))
        blocks = re.split(r"\n(?=[A-Za-z0-9])", output.read_text().strip())
    return {block.split("==")[0]: block for block in blocks}


def write(lock: Path, blocks: dict[str, str]) -> None:
    """Write the requirement lines of a lock file, sorted by package, unless the file already has this content."""
    text = "\n".join(blocks[package] for package in sorted(blocks)) + "\n"
    if not lock.exists() or lock.read_text() != text:
        lock.write_text(text)


def main() -> None:
    """Write the lock files for both builds of torch, for the groups on top of `.venv`, and for the separate groups."""
    parser = argparse.ArgumentParser(description="Write the hash-locked requirement files from pyproject.toml.")
    parser.add_argument("--upgrade", action="store_true", help="choose the newest versions, not the locked ones")
    upgrade = parser.parse_args().upgrade
    uv = uv_for_locks()

    def kept(*names: str) -> list[Path]:
        return [] if upgrade else [lock_file(name) for name in names]

    run, cpu, cuda = map(lock_file, ("run", "torch-cpu", "torch-cuda"))
    found = resolve(uv_for_locks(places=True), *PROJECT, kept=kept("run", "torch-cpu"), pins=[f"torch=={TORCH}+cpu"])
    common = {package: block for package, block in found.items() if package != "torch"}
    versions = [re.split(r"[ \\\n]", block)[0] for block in common.values()]
    of_cuda = resolve(uv, *PROJECT, kept=kept("torch-cuda"), pins=[f"torch=={TORCH}", *versions])
    write(run, common)
    write(cpu, {"torch": found["torch"]})
    write(cuda, {package: block for package, block in of_cuda.items() if package not in common})
    for name in (*ON_TOP, *APART):
        group = ("--group", f"{PYPROJECT}:{name}")
        near = ("run", name) if name == "dvc" else (name,)  # a conda file contains packages of both
        blocks = resolve(uv, *group, kept=kept(*near), pins=versions if name in ON_TOP else [])
        write(
            lock_file(name), {package: blocks[package] for package in blocks if name in APART or package not in common}
        )


if __name__ == "__main__":
    main()
