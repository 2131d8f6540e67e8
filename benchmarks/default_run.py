"""Compare the default run in two checkouts, from scratch: python -m benchmarks.default_run BEFORE AFTER [--out FILE].

Each checkout must contain its environments (`make env dvc`). Outputs of earlier runs are deleted. For each checkout,
the benchmark measures processor time (user + system, of Snakemake and all its jobs), wall time, and the number of lines
written to a pipe. It reports the ratio of the processor times. It also lists the certificates and predictions that are
not byte-identical, and the votes whose counts differ.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

MADE = ("data/prepared", "data/raw/phantom", "models", "results", "reports/phantom", "logs", ".snakemake", ".segcert")
HEADER = "header"  # in votes files: contains the digest of the code that drew the votes


def run(checkout: Path) -> dict[str, Any]:
    """Run the default configuration from scratch; return its costs."""
    for name in MADE:
        shutil.rmtree(checkout / name, ignore_errors=True)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [".venv/bin/snakemake"]
    done = subprocess.run(
        command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "wall_seconds": round(time.monotonic() - start, 1),
        "lines": len(done.stdout.splitlines()),
    }


def differing(before: Path, after: Path) -> list[str]:
    """Return the first checkout's results that are missing from the second checkout or differ there."""
    found = []
    for path in sorted((before / "results/phantom").rglob("*")):
        name = path.relative_to(before)
        if path.suffix not in (".npz", ".parquet") or "attacks" in name.parts:
            continue
        other = after / name
        if not other.exists():
            found.append(str(name))
        elif "votes" in name.parts:
            with np.load(path) as a, np.load(other) as b:
                counts = [array for array in a.files if array != HEADER]
                if not all(array in b and np.array_equal(a[array], b[array]) for array in counts):
                    found.append(str(name))
        elif path.read_bytes() != other.read_bytes():
            found.append(str(name))
    return found


def main() -> None:
    """Run both checkouts and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    costs = {name: run(getattr(arguments, name)) for name in ("before", "after")}
    measured = {
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
        **costs,
        "ratio_of_cpu_seconds": round(costs["after"]["cpu_seconds"] / costs["before"]["cpu_seconds"], 3),
        "differing": differing(arguments.before, arguments.after),
    }
    text = json.dumps(measured, indent=1) + "\n"
    print(text, end="")
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
