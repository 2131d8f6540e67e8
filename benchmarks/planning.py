"""Measure the time and memory that planning the paper's grid takes: python -m benchmarks.planning

Snakemake plans every job, as if no output existed. `shard_size` is the approximate number of test images that a job
samples. `ratio` is the time relative to a plan of the default run, which is mostly the time of imports.
"""

import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks/results/planning.json"
SHARD_SIZES = (250, 60, 20)


def plan(*arguments: str) -> dict[str, float]:
    """Return the number of jobs, the seconds and the peak memory (MiB) of `snakemake -n`."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", "--quiet", "rules", *arguments]
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    assert process.returncode == 0, said
    total = re.search(r"(?m)^total +(\d+)", said)
    assert total, said
    return {"jobs": int(total[1]), "seconds": round(seconds, 1), "peak_memory_mib": usage.ru_maxrss // 1024}


def main() -> None:
    """Plan the default run and the paper's grid with shards of several sizes; write the results."""
    default = plan()
    rows = []
    for size in SHARD_SIZES:
        config = ["--configfile", "config/paper.yaml", "--config", f"sampling={{shard_size: {size}}}"]
        row = plan(*config)
        rows.append({"shard_size": size, **row, "ratio": round(row["seconds"] / default["seconds"], 2)})
        print(rows[-1])
    figures = {"processor": platform.processor() or platform.machine(), "default": default, "paper": rows}
    RESULT.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
