"""Cost of a run on given hardware: disk space, and the time of each stage predicted from measured network calls."""

import collections
import dataclasses
import json
import math
import statistics
from pathlib import Path
from typing import Any

from segcert.certification.methods import alpha_per_look, smallest_n
from segcert.plan.disk import Space, disk_of
from segcert.plan.hardware import choose_hardware, read_hardware, seconds_of
from segcert.plan.image_counts import Images
from segcert.plan.jobs import ForecastError, JobGraph, PlannedJob
from segcert.plan.workload import Workload

STARTUP = "startup-cpu.json"


@dataclasses.dataclass
class Stage:
    """Cost of those jobs of a rule that have to run.

    Attributes
    ----------
    jobs, of
        Number of jobs that have to run, and number of all jobs of the rule.
    calls, unknown
        Number of network calls, each on one image, and number of calls among them whose time is not known.
    gflop, seconds
        Number of operations, in billions, and time, in seconds, of the calls whose time is known.
    cpu_seconds
        Time, in seconds, that one CPU core needs to start the jobs and to certify.
    """

    rule: str
    jobs: int = 0
    of: int = 0
    calls: int = 0
    unknown: int = 0
    gflop: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Forecast of a run by `segcert plan`. Times are in seconds and sizes in bytes; NaN means unknown.

    Attributes
    ----------
    hardware, device, why, others
        Short name and full name of the hardware, the reason for choosing it, and the short names of the other choices.
    used
        Dict that maps the label of each measurement to the total time, in seconds, that was predicted from the
        measurement.
    rates
        Lowest and highest throughput among all measurements on the hardware, in billions of operations per second.
    n, looks, least_n
        Configured number of estimation draws, planned looks (see `segcert.report.format.draws`), and the smallest n
        with which a pixel can be certified. The forecast assumes that all draws up to the last look are needed.
    """

    run: str
    jobs: int
    hardware: str
    device: str
    why: str
    others: list[str]
    images: dict[str, Images]
    stages: list[Stage]
    used: dict[str, float]
    rates: tuple[float, float]
    disk: list[Space]
    n: int
    looks: str
    least_n: int

    @property
    def todo(self) -> int:
        """Number of jobs that have to run."""
        return sum(stage.jobs for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Total time of the network calls whose time is known, in seconds."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def cpu_seconds(self) -> float:
        """Time, in seconds, that one CPU core needs to start all jobs and to certify."""
        return sum(stage.cpu_seconds for stage in self.stages)

    @property
    def complete(self) -> bool:
        """True if the time of all network calls is known."""
        return not any(stage.unknown for stage in self.stages)


def make_forecast(
    graph: JobGraph, measured: Path, *, hardware: str | None = None, images: int | None = None
) -> Forecast:
    """Forecast a run from its jobs and the measurements in a folder.

    `images` replaces the number of test images of each data set. Paths are relative to the working directory.

    Raises ForecastError if images, hardware or measurements are not known.
    """
    work = Workload.of(graph, images)
    config = work.config
    known, startup = read_hardware(measured), _read_startup(measured)
    name, why = choose_hardware(known, hardware, config.image_size // config.pool, config.device)
    rates = [each.gflop_per_second for each in known[name]]
    stages: dict[str, Stage] = {}
    used: dict[str, float] = collections.defaultdict(float)
    for job in graph.jobs:
        stage = stages.setdefault(job.rule, Stage(job.rule))
        stage.of += 1
        if not job.stale:
            continue
        stage.jobs += 1
        stage.cpu_seconds += _cpu_seconds(work, job, startup)
        for calls in work.calls_of(job):
            stage.calls += calls.images
            seconds, measurement = seconds_of(calls, known[name])
            if math.isnan(seconds):
                stage.unknown += calls.images
            else:
                stage.gflop += calls.gflop
                stage.seconds += seconds
                used[measurement] += seconds
    pixels = config.image_size**2
    return Forecast(
        run=config.run,
        jobs=len(graph.jobs),
        hardware=name,
        device=known[name][0].device,
        why=why,
        others=[each for each in known if each != name],
        images=dict(work.images),
        stages=[stage for stage in stages.values() if stage.jobs],
        used=dict(used),
        rates=(min(rates), max(rates)),
        disk=disk_of(work, graph.jobs, startup["bytes"]),
        n=config.n,
        looks=", ".join(map(str, config.looks)),
        least_n=smallest_n(
            pixels, config.tau, alpha_per_look(config.alpha, config.looks), config.method, config.n0, config.kfwer_k
        ),
    )


def _read_startup(folder: Path) -> dict[str, Any]:
    path = folder / STARTUP
    if not path.exists():
        raise ForecastError(
            f"{path}: missing; this file states how long jobs take to start and how large their files are. Run "
            "`segcert plan` "
            "in a checkout of segcert, or measure this machine: python -m benchmarks.startup"
        )
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def _cpu_seconds(work: Workload, job: PlannedJob, startup: dict[str, Any]) -> float:
    """Return the time, in seconds on one CPU core, that a job needs besides its network calls.

    The time is predicted from the measurements of benchmarks/startup.py.
    """
    imports, certify = startup["imports"], startup["work"]["certify"]
    usual = statistics.median(imports.values())  # for a rule whose script has a different name
    seconds: float = imports.get(job.rule, usual) + startup["job"]["networks" if work.calls_of(job) else "others"]
    if job.rule == "certify":
        per_megapixel = certify[max(certify, key=int)]
        seconds += work.certified(job) * work.config.image_size**2 / 1e6 * per_megapixel
    return seconds
