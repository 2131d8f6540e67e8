"""Time and memory of each rule, from Snakemake's benchmark files and the run records."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

COLUMNS = ["rule", "jobs", "measured", "seconds", "longest", "cpu_seconds", "mean_load", "peak_memory_mib"]
OVERHEAD, STRETCH = 60.0, 3.0  # a job first starts Snakemake, which is slow on a busy machine
MISSING = ["NA", "-"]  # Snakemake's values if a job ended too early to be measured, or if a value is unavailable


def read_jobs(records: Iterable[Mapping[str, Any]], benchmarks: Mapping[str, str]) -> pd.DataFrame:
    """Return a table with the time and the memory of each job that has a run record.

    The columns are `rule`, `measured`, `seconds`, `cpu_seconds` and `peak_memory_mib`. `benchmarks` maps rules to the
    paths of their benchmark files, with wildcards. The seconds and the CPU seconds are read from the benchmark file of
    a job. The peak memory is the larger of two numbers. The first number is `max_rss` in the benchmark file, which
    includes all processes of the job. It is sampled every half second, and later every half minute. The second number
    is in the run record. It is the peak memory of the job's largest process, as measured by the kernel.

    If the benchmark file is missing, for example because artifacts were pulled from a store, the seconds and the memory
    are read from the run record. If the benchmark file has fewer seconds than the run record, or far more, it belongs
    to a different execution and is ignored.
    """
    rows = []
    for record in records:
        if not record:
            continue
        rule = record["rule"]
        file = Path(benchmarks[rule].format(**record["wildcards"])) if rule in benchmarks else None
        rows.append({"rule": rule, **_job_row(record, _read_benchmark(file))})
    return pd.DataFrame(rows, columns=["rule", "measured", "seconds", "cpu_seconds", "peak_memory_mib"])


def stage_table(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return a table with a row per rule, in descending order of total wall time.

    `measured` is the number of jobs with a benchmark file. `seconds` is the total wall time of the jobs. `longest` is
    the longest wall time of a job, and `peak_memory_mib` is the largest peak memory of a job. `cpu_seconds` and
    `mean_load` (in processors) only include jobs with a benchmark file.
    """
    stages = jobs.groupby("rule", sort=False).agg(
        jobs=("seconds", "size"),
        measured=("measured", "sum"),
        seconds=("seconds", "sum"),
        longest=("seconds", "max"),
        cpu_seconds=("cpu_seconds", lambda values: values.sum(min_count=1)),
        peak_memory_mib=("peak_memory_mib", "max"),
    )
    looked_at = jobs[jobs["cpu_seconds"].notna()].groupby("rule")["seconds"].sum()
    stages["mean_load"] = stages["cpu_seconds"] / looked_at
    return stages.sort_values("seconds", ascending=False, kind="stable").reset_index()[COLUMNS]


def stage_figure(table: pd.DataFrame) -> Figure:
    """Draw the total time, the time of the longest job, and the peak memory, with a bar per rule."""
    figure = Figure(figsize=(7.2, 0.27 * len(table) + 1.0))
    seconds, memory = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    places = range(len(table))
    seconds.barh(places, table["seconds"], color="#56B4E9", label="all jobs")
    seconds.barh(places, table["longest"], height=0.35, color="#0072B2", label="the longest job")
    names = [f"{row['rule']} ({row['jobs']})" for row in table.to_dict("records")]
    seconds.set_yticks(places, names)
    seconds.set_ylim(len(table) - 0.4, -0.6)  # the first rule is at the top
    seconds.set_xlabel("wall time (seconds)")
    seconds.legend(frameon=False, fontsize="small", loc="lower right")
    memory.barh(places, table["peak_memory_mib"], color="#E69F00")
    memory.set_xlabel("peak memory of a job (MiB)")
    for panel in (seconds, memory):
        panel.grid(axis="x", alpha=0.3)
        panel.set_axisbelow(True)
    return figure


def _job_row(record: Mapping[str, Any], measured: "pd.Series[float] | None") -> dict[str, Any]:
    peak, seconds = float(record["peak_memory_mib"]), float(record["seconds"])
    if measured is None or not seconds - 1 <= measured["s"] <= OVERHEAD + STRETCH * seconds:
        return {"measured": False, "seconds": seconds, "cpu_seconds": None, "peak_memory_mib": peak}
    return {
        "measured": True,
        "seconds": measured["s"],
        "cpu_seconds": measured["cpu_time"],
        "peak_memory_mib": float(np.fmax(peak, measured["max_rss"])),
    }


def _read_benchmark(path: Path | None) -> "pd.Series[float] | None":
    """Read the single row of a benchmark file. Return None if the file is missing or cannot be read."""
    if path is None or not path.exists():
        return None
    try:
        row = pd.read_csv(path, sep="\t", na_values=MISSING)[["s", "max_rss", "cpu_time"]].iloc[0]
        return row.astype(float)
    except (KeyError, IndexError, ValueError):  # for example, a full disk truncated the file; only times are lost
        return None
