"""Write the hash-locked requirement files of the environments from pyproject.toml (`make lock`).

| file | holds |
|---|---|
| `lock-run.txt` | what the pipeline and `segcert` need with either build of torch: `.venv` |
| `lock-torch-cpu.txt`, `lock-torch-cuda.txt` | the rest of each build of the same torch |
| `lock-dev.txt`, `lock-cluster.txt` | what a group of pyproject.toml adds on top of `.venv` |
| `lock-dvc.txt`, `lock-checkers.txt`, `lock-uv.txt` | a group on its own |

The CPU build of torch comes from a place that pip knows: name it in PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL.

Versions that stand in the lock files stay while they fit; `--upgrade` (`make lock UPGRADE=1`) takes the newest. None
but torch's, which stands below, is younger than seven days: by then most tampered releases are found out.
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
    """The path of a lock file."""
    return ENVS / f"lock-{name}.txt"


def resolve(uv: Uv, *wanted: str, kept: Sequence[Path], pins: Sequence[str] = ()) -> dict[str, str]:
    """One resolution: package name -> its requirement line with hashes.

    `wanted` is what uv compiles, `kept` the lock files whose versions stay while they fit, `pins` what must hold.
    """
    newest = datetime.datetime.now(datetime.UTC) - AGE
    with tempfile.TemporaryDirectory() as folder:
        constraint, output = Path(folder, "pins.txt"), Path(folder, "lock.txt")
        constraint.write_text("\n".join(pins) + "\n")
        output.write_text("".join(lock.read_text() for lock in kept if lock.exists()))  # uv prefers what it finds there
        options = ["--generate-hashes", "--no-header", "--no-annotate", "--python-version", "3.11"]
        options += ["--exclude-newer", newest.isoformat(timespec="seconds"), "--exclude-newer-package", "torch=false"]
        options += ["--constraint", str(constraint)]
        uv.compile(*wanted, *options, "--output-file", str(output))
        blocks = re.split(r"\n(?=[A-Za-z0-9])", output.read_text().strip())
    return {block.split("==")[0]: block for block in blocks}


def write(lock: Path, blocks: dict[str, str]) -> None:
    """Write the requirement lines of a lock file, sorted by package; leave a file that says the same as it is."""
    text = "\n".join(blocks[package] for package in sorted(blocks)) + "\n"
    if not lock.exists() or lock.read_text() != text:
        lock.write_text(text)


def main() -> None:
    """Resolve both builds and write what they share and what they do not; then the groups on top, and those apart."""
    parser = argparse.ArgumentParser(description="Write the hash-locked requirement files from pyproject.toml.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions, not those of the lock files")
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
        near = ("run", name) if name == "dvc" else (name,)  # one conda file holds both
        blocks = resolve(uv, *group, kept=kept(*near), pins=versions if name in ON_TOP else [])
        write(
            lock_file(name), {package: blocks[package] for package in blocks if name in APART or package not in common}
        )


if __name__ == "__main__":
    main()
