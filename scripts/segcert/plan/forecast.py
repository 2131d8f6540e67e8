"""The cost of a run on some hardware: network calls, times the measured seconds of one, by stage; and disk."""

import collections
import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segcert.certification.methods import smallest_n
from segcert.plan.disk import Space, disk_of
from segcert.plan.hardware import Measurement, choose_hardware, read_hardware, seconds_of
from segcert.plan.image_counts import Images
from segcert.plan.jobs import ForecastError, JobGraph, Planned
from segcert.plan.workload import Workload

STARTUP = "startup-cpu.json"


@dataclasses.dataclass
class Stage:
    """The jobs of a rule that are to be done, `jobs` of `of`.

    calls: of networks, each on one image; unknown: those of which no time is known. gflop: 10^9 operations. seconds: of
    the networks. Both as far as they are known.
    """

    rule: str
    jobs: int = 0
    of: int = 0
    calls: int = 0
    unknown: int = 0
    gflop: float = 0.0
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Forecast:
    """All that `segcert plan` says of a run; seconds and bytes throughout, NaN for what is not known.

    hardware, others: short names; device: the full one; why: how it was chosen. used: seconds of networks by the
    measurement that they go by; arithmetic: least and most 10^9 operations per second over all measurements there.
    beside: seconds of CPU that jobs take besides networks, by what takes them. n, least_n: the configured estimation
    draws, and the fewest with which any pixel can be certified.
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
    arithmetic: tuple[float, float]
    beside: dict[str, float]
    disk: list[Space]
    n: int
    least_n: int

    @property
    def todo(self) -> int:
        """Jobs that are to be done."""
        return sum(stage.jobs for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Of all networks, as far as they are known."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def complete(self) -> bool:
        """True where the time of all networks is known."""
        return not any(stage.unknown for stage in self.stages)


def make_forecast(
    graph: JobGraph, measured: Path, *, hardware: str | None = None, images: int | None = None
) -> Forecast:
    """Forecast a run from its graph of jobs and the measurements in a folder.

    `images`: in the place of the number of test images of each data set. Paths are those of the working directory.

    Raises ForecastError where images, hardware or measurements are not known.
    """
    work = Workload.of(graph, images)
    config = work.config
    known, startup = read_hardware(measured), _read_startup(measured)
    size = config.image_size // config.pool
    name, why = choose_hardware(known, hardware, size, cpu_only=config.device == "cpu")
    rates = [each.gflop_per_second for each in known[name]]
    stages, used = _stages(work, graph.jobs, known[name])
    pixels = config.image_size**2
    least_n = smallest_n(pixels, config.tau, config.alpha, config.method, config.n0, config.kfwer_k)
    return Forecast(
        run=config.run,
        jobs=len(graph.jobs),
        hardware=name,
        device=known[name][0].device,
        why=why,
        others=[each for each in known if each != name],
        images=dict(work.images),
        stages=stages,
        used=used,
        arithmetic=(min(rates), max(rates)),
        beside=_beside(work, graph.jobs, startup),
        disk=disk_of(work, graph.jobs, startup["bytes"]),
        n=config.n,
        least_n=least_n,
    )


def _read_startup(folder: Path) -> dict[str, Any]:
    path = folder / STARTUP
    if not path.exists():
        raise ForecastError(
            f"{path}: missing; it says what jobs cost besides their networks. Run `segcert plan` in a checkout of "
            "segcert, or measure: python -m benchmarks.startup"
        )
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def _stages(
    work: Workload, jobs: Sequence[Planned], measured: Sequence[Measurement]
) -> tuple[list[Stage], dict[str, float]]:
    """Rules with something to do in the order of the work, and the seconds of their networks by measurement."""
    stages: dict[str, Stage] = {}
    used: dict[str, float] = collections.defaultdict(float)
    for job in jobs:
        stage = stages.setdefault(job.rule, Stage(job.rule))
        stage.of += 1
        if not job.stale:
            continue
        stage.jobs += 1
        for calls in work.calls_of(job):
            seconds, measurement = seconds_of(calls, measured)
            stage.calls += calls.count
            if math.isnan(seconds):
                stage.unknown += calls.count
                continue
            stage.gflop += calls.images * calls.gflop
            stage.seconds += seconds
            used[measurement] += seconds
    return [stage for stage in stages.values() if stage.jobs], dict(used)


def _beside(work: Workload, jobs: Sequence[Planned], startup: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of one CPU core that jobs take besides their networks, as benchmarks/startup.py has measured them."""
    imports, job_seconds, certify = startup["imports"], startup["job"], startup["work"]["certify"]
    usual = statistics.median(imports.values())  # of a rule that is not named like its script
    per_megapixel = certify[max(certify, key=int)]
    starts = certification = 0.0
    for job in jobs:
        if job.stale:
            starts += imports.get(job.rule, usual) + job_seconds["networks" if work.calls_of(job) else "others"]
            if job.rule == "certify":
                certification += work.certified(job) * work.config.image_size**2 / 1e6 * per_megapixel
    return {"start of jobs": starts, "certification": certification}
