"""Write the three hash-locked requirement files from pyproject.toml (`make lock`).

uv resolves the project twice, for the CPU and for the CUDA build of the same torch. What both need is
`lock-common.txt`; the rest of each is `lock-torch-cpu.txt` and `lock-torch-cuda.txt`. The CPU build is looked
for where pip looks for it: set PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL to a place that has it.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TORCH = "2.13.0"
ENVS = Path(__file__).parent
PYPROJECT = ENVS.parent / "pyproject.toml"


def resolve(torch: str, *options: str) -> dict[str, str]:
    """One resolution: package name -> its requirement line with hashes."""
    with tempfile.TemporaryDirectory() as folder:
        constraint, output = Path(folder, "torch.txt"), Path(folder, "lock.txt")
        constraint.write_text(f"torch=={torch}\n")
        command = ["uv", "pip", "compile", str(PYPROJECT), "--all-extras", "--generate-hashes", "--no-header"]
        command += ["--no-annotate", "--python-version", "3.11", "--constraint", str(constraint)]
        subprocess.run([sys.executable, "-m", *command, "-q", *options, "-o", str(output)], check=True)
        blocks = re.split(r"\n(?=[A-Za-z0-9])", output.read_text().strip())
    return {block.split("==")[0]: block for block in blocks}


def write(name: str, blocks: dict[str, str]) -> None:
    """Write the requirement lines of a lock file, sorted by package."""
    (ENVS / name).write_text("\n".join(blocks[package] for package in sorted(blocks)) + "\n")


def main() -> None:
    """Resolve both builds and write what they share and what they do not."""
    where = [
        ("--find-links", os.environ.get("PIP_FIND_LINKS")),
        ("--extra-index-url", os.environ.get("PIP_EXTRA_INDEX_URL")),
    ]
    cpu = resolve(f"{TORCH}+cpu", *(word for option, value in where if value for word in (option, value)))
    common = {package: block for package, block in cpu.items() if package != "torch"}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pins:
        pins.write("\n".join(block.split(" ")[0] for block in common.values()) + "\n")
        pins.flush()
        cuda = resolve(TORCH, "--constraint", pins.name)
    write("lock-common.txt", common)
    write("lock-torch-cpu.txt", {"torch": cpu["torch"]})
    write("lock-torch-cuda.txt", {package: block for package, block in cuda.items() if package not in common})


if __name__ == "__main__":
    main()
