"""Run the jobs that Snakemake plans in two processes: python -m tests.tools.simulated.jobs WHAT CONFIG TARGET ...

Rules with networks are replaced by stand-ins; the other rules run their own scripts. If WHAT is `work`, the report's
rules are left to Snakemake; if it is `all`, they run too. The module prints the names of the report's rules, one per
line.
"""

import concurrent.futures
import contextlib
import dataclasses
import io
import json
import multiprocessing
import runpy
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd  # noqa: F401 - imported once, before the workers are forked
from snakemake.api import SnakemakeApi
from snakemake.script import Snakemake
from snakemake.settings.enums import Quietness
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings
from tests.tools.simulated.stand_ins import STAND_INS

from segcert.provenance.recording import recorded
from segcert.provenance.records import record_path

WORK = {"common.smk", "data.smk", "train.smk", "cards.smk", "sample.smk", "certify.smk", "provenance.smk", "Snakefile"}
SECONDS = {"train_segmenter": 640, "train_denoiser": 2400, "sample": 95, "attack": 40, "measure_costs": 12}
PROCESSES = 2


@dataclasses.dataclass(frozen=True)
class Job:
    """A job: its script, the path of its benchmark file, and the `snakemake` object that the script uses."""

    script: Path
    benchmark: str | None
    seen: Snakemake


LEVELS: list[list[Job]] = []  # global, so that forked workers have the jobs


def main(what: str, configfile: str, *targets: str) -> None:
    """Run the jobs and print the names of the report's rules."""
    rules, levels = plan(what, configfile, targets)
    LEVELS.extend(levels)
    with concurrent.futures.ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("fork")) as pool:
        for number, level in enumerate(levels):
            for _ in pool.map(run_job, [(number, k) for k in range(len(level))]):
                pass
    print("\n".join(rules))


def plan(what: str, configfile: str, targets: tuple[str, ...]) -> tuple[list[str], list[list[Job]]]:
    """Return the names of the report's rules, and the jobs as a list of levels. Each level needs the previous ones."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        SnakemakeApi(OutputSettings(dryrun=True, quiet={Quietness.ALL})) as api,
    ):
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[Path(configfile)]),
            snakefile=Path("Snakefile"),
        )
        workflow.dag(DAGSettings(targets=set(targets))).execute_workflow(pseudo_executor="dryrun")
        inner = workflow._workflow
        rules = [rule.name for rule in inner.rules if Path(rule.snakefile).name not in WORK]
        left = rules if what == "work" else []
        levels = [[_job(job) for job in level if job.rule.name not in left] for level in inner.dag.toposorted()]
    return rules, levels


def run_job(place: tuple[int, int]) -> None:
    """Run one job, which `place` locates in LEVELS.

    The job's record states the time that it took. For a rule with networks, it states a plausible time instead.
    """
    job = LEVELS[place[0]][place[1]]
    start = time.monotonic()
    for path in job.seen.output:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    stand_in = STAND_INS.get(job.seen.rule)
    if stand_in:
        with recorded(job.seen) as found:
            found["device"] = "made up"
            stand_in(job.seen, found)
    else:
        runpy.run_path(str(job.script), init_globals={"snakemake": job.seen})
    seconds = SECONDS.get(job.seen.rule, round(time.monotonic() - start, 2))
    path = record_path(job.seen.output[0])
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": seconds}, indent=2) + "\n")
    if job.benchmark:
        columns = {"s": seconds, "h:m:s": f"0:00:{seconds:02.0f}", "max_rss": 800.0, "mean_load": 98.0}
        Path(job.benchmark).parent.mkdir(parents=True, exist_ok=True)
        Path(job.benchmark).write_text("\t".join(columns) + "\n" + "\t".join(map(str, columns.values())) + "\n")


def _job(job: Any) -> Job:
    rule = job.rule
    folder = Path(rule.snakefile).parent
    files = (job.input, job.output, job.params, job.wildcards, 1, job.resources, job.log)
    scripts = Path(folder, rule.script).resolve().parent
    seen = Snakemake(*files, rule.workflow.config, rule.name, None, scripts)
    seen.log = []  # otherwise hundreds of log files would stay open
    return Job(Path(folder, rule.script), str(job.benchmark) if job.benchmark else None, seen)


if __name__ == "__main__":
    main(*sys.argv[1:])
