"""Measure the time and memory that rendering a large run's report takes: python -m benchmarks.report [OUTPUT].

The run has 5 data sets x 3 models x 3 regimes x 3 noise levels x 60 images of 64x64 pixels. Segmenters are used with a
denoiser and, except in the regime `denoised`, also without one. Only the networks are simulated
(`tests.tools.simulated`). Snakemake renders the report with two cores. Memory is the sum of the resident sets of
Snakemake and all its jobs, sampled ten times a second. Pages that several processes share are counted for each process.
"""

import collections
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil
from tests.support.checkout import make_checkout
from tests.tools.simulated import SimulatedRun, make_run
from tests.tools.simulated.variants import large

LIMITS = {"seconds": 120, "peak_memory_mib": 2048}
EVERY = 0.1  # seconds


def main() -> None:
    """Make the run and render its report; print and write the results."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = make_checkout(Path(folder, "repo")).path
        start = time.monotonic()
        run = make_run(checkout, large(checkout))
        made = time.monotonic() - start
        seconds, memory = rendered(run)
        found = {
            "configuration": {key: value for key, value in large(checkout).items() if key != "run"},
            "rows": rows(checkout / "results" / run.report.name),
            "seconds_to_simulate": round(made),
            "seconds": round(seconds, 1),
            "peak_memory_mib": round(memory / 2**20),
            "within_limits": seconds <= LIMITS["seconds"] and memory <= LIMITS["peak_memory_mib"] * 2**20,
            "limits": LIMITS,
            "mb": sizes(run.report),
            "jobs": jobs(run.report),
        }
    print(json.dumps(found, indent=1))
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n")


def rows(results: Path) -> int:
    """Return the number of combinations of image, pairing and noise level in the run."""
    table = pd.read_parquet(results / "certificates.parquet")
    return len(table[["dataset", "image", "model", "regime", "denoiser", "sigma"]].drop_duplicates())


def rendered(run: SimulatedRun) -> tuple[float, int]:
    """Return wall seconds and the largest sum of resident sets (bytes). Raises CalledProcessError on failure."""
    peak, start = 0, time.monotonic()
    with tempfile.TemporaryFile() as said:
        rendering = subprocess.Popen(
            run.command(), cwd=run.checkout, env=run.environment, stdout=said, stderr=subprocess.STDOUT
        )
        while rendering.poll() is None:
            peak = max(peak, resident(psutil.Process(rendering.pid)))
            time.sleep(EVERY)
        seconds = time.monotonic() - start
        said.seek(0)
        if rendering.returncode:
            raise subprocess.CalledProcessError(rendering.returncode, run.command(), said.read().decode())
    return seconds, peak


def resident(process: psutil.Process) -> int:
    """Return the resident bytes of a process and all its children."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += each.memory_info().rss
    return total


def sizes(report: Path) -> dict[str, float]:
    """Return the size of each page and folder in the report's folder, in MB (10^6 bytes)."""
    total: dict[str, int] = collections.defaultdict(int)
    for path in report.rglob("*"):
        if path.is_file() and not path.name.endswith(".record.json"):
            total[path.relative_to(report).parts[0]] += path.stat().st_size
    return {name: round(size / 1e6, 2) for name, size in sorted(total.items())}


def jobs(report: Path) -> dict[str, dict[str, float]]:
    """Return each rule's number of jobs, total seconds and largest peak memory (MiB), from the jobs' records."""
    found: dict[str, dict[str, float]] = {}
    for path in sorted(report.rglob("*.record.json")):
        record = json.loads(path.read_text())
        of_rule = found.setdefault(record["rule"], {"jobs": 0, "seconds": 0.0, "peak_memory_mib": 0})
        of_rule["jobs"] += 1
        of_rule["seconds"] = round(of_rule["seconds"] + record["seconds"], 2)
        of_rule["peak_memory_mib"] = max(of_rule["peak_memory_mib"], record["peak_memory_mib"])
    return dict(sorted(found.items(), key=lambda item: -item[1]["seconds"]))


if __name__ == "__main__":
    main()
