"""Write the five hash-locked requirement files from pyproject.toml (`make lock`).

uv resolves the project twice, for the CPU and for the CUDA build of the same torch. What both need is
`lock-common.txt`; the rest of each is `lock-torch-cpu.txt` and `lock-torch-cuda.txt`. The CPU build is looked
for where pip looks for it: set PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL to a place that has it. The dependency group
`checkers` is resolved on its own, into `lock-checkers.txt`: it does not fit beside DVC. The group `cluster` comes on
top of what both builds need: `lock-cluster.txt` holds what is not in `lock-common.txt`.

Versions that stand in the lock files stay while they fit; `--upgrade` (`make lock UPGRADE=1`) takes the newest.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

TORCH = "2.13.0"
ENVS = Path(__file__).parent
PYPROJECT = ENVS.parent / "pyproject.toml"
NAMES = ("common", "torch-cpu", "torch-cuda", "checkers", "cluster")
COMMON, CPU, CUDA, CHECKERS, CLUSTER = (ENVS / f"lock-{name}.txt" for name in NAMES)
PROJECT = (str(PYPROJECT), "--all-extras")


def resolve(*wanted: str, kept: Sequence[Path], pins: Sequence[str] = ()) -> dict[str, str]:
    """One resolution: package name -> its requirement line with hashes.

    `wanted` is what uv compiles, `kept` the lock files whose versions stay while they fit, `pins` what must hold.
    """
    with tempfile.TemporaryDirectory() as folder:
        constraint, output = Path(folder, "pins.txt"), Path(folder, "lock.txt")
        constraint.write_text("\n".join(pins) + "\n")
        output.write_text("".join(lock.read_text() for lock in kept if lock.exists()))  # uv prefers what it finds there
        command = ["uv", "pip", "compile", *wanted, "--generate-hashes", "--no-header", "--no-annotate"]
        command += ["--python-version", "3.11", "--constraint", str(constraint)]
        subprocess.run([sys.executable, "-m", *command, "-q", "-o", str(output)], check=True)
        blocks = re.split(r"\n(?=[A-Za-z0-9])", output.read_text().strip())
    return {block.split("==")[0]: block for block in blocks}


def write(lock: Path, blocks: dict[str, str]) -> None:
    """Write the requirement lines of a lock file, sorted by package; leave a file that says the same as it is."""
    text = "\n".join(blocks[package] for package in sorted(blocks)) + "\n"
    if not lock.exists() or lock.read_text() != text:
        lock.write_text(text)


def main() -> None:
    """Resolve both builds, write what they share and what they do not; then the checkers and the cluster."""
    parser = argparse.ArgumentParser(description="Write the hash-locked requirement files from pyproject.toml.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions, not those of the lock files")
    keep = not parser.parse_args().upgrade
    cpu = resolve(*PROJECT, *_places(), kept=[COMMON, CPU] if keep else [], pins=[f"torch=={TORCH}+cpu"])
    common = {package: block for package, block in cpu.items() if package != "torch"}
    versions = [block.split(" ")[0] for block in common.values()]
    cuda = resolve(*PROJECT, kept=[CUDA] if keep else [], pins=[f"torch=={TORCH}", *versions])
    checkers = resolve("--group", f"{PYPROJECT}:checkers", kept=[CHECKERS] if keep else [])
    cluster = resolve("--group", f"{PYPROJECT}:cluster", kept=[CLUSTER] if keep else [], pins=versions)
    write(COMMON, common)
    write(CPU, {"torch": cpu["torch"]})
    write(CUDA, {package: block for package, block in cuda.items() if package not in common})
    write(CHECKERS, checkers)
    write(CLUSTER, {package: block for package, block in cluster.items() if package not in common})


def _places() -> list[str]:
    """Where pip looks for packages beside the index, as options of uv; the CPU build of torch may be there."""
    where = [
        ("--find-links", os.environ.get("PIP_FIND_LINKS")),
        ("--extra-index-url", os.environ.get("PIP_EXTRA_INDEX_URL")),
    ]
    return [word for option, value in where if value for word in (option, value)]


if __name__ == "__main__":
    main()
