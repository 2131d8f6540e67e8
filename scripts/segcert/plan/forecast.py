"""What a run will cost on some hardware: by stage, in wall time, on disk, and with other numbers of draws."""

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segcert.config import Config
from segcert.plan.counts import Images, about, images_of
from segcert.plan.disk import Space, disk_of
from segcert.plan.draws import Draws, draws_table
from segcert.plan.durations import Duration, duration, read_overheads
from segcert.plan.evaluations import Work, count_shards
from segcert.plan.jobs import ForecastError, JobGraph, Planned
from segcert.plan.networks import networks_of
from segcert.plan.schedule import Task, critical_path, lower_bound, simulate
from segcert.plan.throughput import Hardware, read_hardware

Timed = list[tuple[Planned, Duration]]


@dataclasses.dataclass(frozen=True)
class Stage:
    """The jobs of a rule that are to be done.

    evaluations: network calls, each on one image. measured, scaled: seconds of the networks, by how they are known.
    unknown: network calls of which no time is known. start: seconds until scripts work; other: of other work that was
    measured. counted: False where of a job nothing but its start is known.
    """

    rule: str
    jobs: int
    of: int
    evaluations: int
    measured: float
    scaled: float
    unknown: int
    start: float
    other: float
    counted: bool


@dataclasses.dataclass(frozen=True)
class Wall:
    """Seconds of wall time on some devices by simulation, and those that no scheduler can beat."""

    devices: int
    seconds: float
    bound: float


@dataclasses.dataclass(frozen=True)
class Forecast:
    """All that `segcert plan` says of a run; seconds and bytes throughout, NaN for what is not known.

    hardware, others: short names; why: how the hardware was chosen. arithmetic: least and most 10^9 operations per
    second over what was measured on it. cores: CPU cores beside each GPU, 0 where the hardware is a CPU. device:
    seconds that devices are held. rests_on: seconds by measured case and by in what they differ from it. n: of the
    configuration.
    """

    run: str
    jobs: int
    hardware: str
    full_name: str
    gpu: bool
    why: str
    others: list[str]
    arithmetic: tuple[float, float]
    overheads: str
    images: dict[str, Images]
    stages: list[Stage]
    device: float
    cores: int
    critical_path: float
    walls: list[Wall]
    rests_on: dict[str, dict[str, float]]
    disk: list[Space]
    n: int
    draws: list[Draws]
    forecast_file: str

    @property
    def todo(self) -> int:
        """Jobs that are to be done."""
        return sum(stage.jobs for stage in self.stages)

    @property
    def complete(self) -> bool:
        """Whether the time of all networks is known."""
        return not any(stage.unknown for stage in self.stages)

    def as_document(self) -> dict[str, Any]:
        """As plain JSON, null for what is not known."""
        document: dict[str, Any] = _plain(dataclasses.asdict(self))
        return document | {"todo": self.todo, "complete": self.complete}


def make_forecast(
    graph: JobGraph,
    measured: Path,
    *,
    devices: Sequence[int] = (1, 2, 4, 8),
    hardware: str | None = None,
    cores: int = 8,
    images: int | None = None,
) -> Forecast:
    """Forecast a run from its graph of jobs and the measurements in a folder.

    `devices`: numbers of GPUs, or of CPU cores where the hardware is a CPU; `cores`: beside each GPU. `images`: in the
    place of the number of test images of each data set. Paths are those of the working directory.

    Raises ForecastError where images, hardware or measurements are not known.
    """
    config = Config.read(graph.config)
    work = work_of(graph, config, images)
    known, overheads = read_hardware(measured), read_overheads(measured)
    chosen, why = choose(known, hardware, work, graph.jobs, cpu_only=config.device == "cpu")
    rows = sum(work.certified(job) for job in graph.jobs if job.rule == "certify")
    timed = [(job, duration(work, job, chosen, overheads, rows)) for job in graph.jobs]
    todo = [(job, each) for job, each in timed if job.stale]
    tasks = tasks_of(timed, chosen, graph.limits)
    walls = []
    for count in devices:
        capacity = dict(graph.limits) | ({"gpu": count, "cores": cores * count} if chosen.gpu else {"cores": count})
        walls.append(Wall(count, simulate(tasks, capacity).seconds, lower_bound(tasks, capacity)))
    budget = Path(f"results/{config.run}/budget.parquet")
    return Forecast(
        run=config.run,
        jobs=len(graph.jobs),
        hardware=chosen.name,
        full_name=chosen.full_name,
        gpu=chosen.gpu,
        why=why,
        others=[name for name in known if name != chosen.name],
        arithmetic=chosen.arithmetic(),
        overheads=overheads.hardware,
        images=dict(work.images),
        stages=stages_of(timed),
        device=sum(each.seconds for job, each in todo if _held(job, each, chosen)),
        cores=cores if chosen.gpu else 0,
        critical_path=critical_path(tasks),
        walls=walls,
        rests_on=_rests_on(todo),
        disk=disk_of(work, graph.jobs, overheads.bytes),
        n=config.n,
        draws=draws_table(config, lambda n: cost_of_draws(work, graph.jobs, chosen, n), budget),
        forecast_file=str(budget) if budget.exists() else "",
    )


def work_of(graph: JobGraph, config: Config, images: int | None = None) -> Work:
    """What the evaluations of the jobs depend on."""
    sets = {name: about(name, config) for name in config.datasets}
    counts = {name: images_of(name, config, Path(f"data/prepared/{name}/index.csv"), images) for name in sets}
    networks = networks_of(graph.jobs, {name: each.channels for name, each in sets.items()})
    return Work(config, counts, sets, networks, count_shards(graph.jobs))


def choose(
    known: Mapping[str, Hardware], name: str | None, work: Work, jobs: Sequence[Planned], *, cpu_only: bool
) -> tuple[Hardware, str]:
    """The hardware of a name; without one, that on which most of the run's arithmetic was measured as it is.

    A GPU goes before a CPU of equal share; where the configuration says `device: cpu`, no GPU comes into question.
    Raises ForecastError for a name that is not known.
    """
    if name is not None:
        if name not in known:
            raise ForecastError(f"--hardware: found {name!r}; expected one of {', '.join(known)} (what was measured)")
        return known[name], "as asked for"
    passes = [each for job in jobs for each in work.of(job) if not math.isnan(each.gflop)]
    total = sum(each.images * each.gflop for each in passes)

    def share(hardware: Hardware) -> float:
        exact = sum(e.images * e.gflop for e in passes if hardware.estimate(e).basis == "measured")
        return exact / total if total else 0.0

    shares = {each.name: share(each) for each in known.values() if not (cpu_only and each.gpu)}
    if not shares:
        raise ForecastError("`device`: found cpu, but no CPU was measured. Write --hardware " + " or ".join(known))
    best = max(shares, key=lambda each: (shares[each], known[each].gpu))
    return known[best], f"a guess: {shares[best]:.0%} of the arithmetic was measured on it just as it is"


def tasks_of(timed: Timed, hardware: Hardware, limits: Mapping[str, int]) -> list[Task]:
    """The jobs that are to be done as tasks: they need cores, GPUs, and what else is limited by name."""
    places = {place: number for number, place in enumerate(p for p, (job, _) in enumerate(timed) if job.stale)}
    named = [*limits, *(["gpu"] if hardware.gpu else [])]
    return [
        Task(
            each.seconds,
            {"cores": job.threads} | {name: int(job.resources.get(name, 0)) for name in named},
            [places[before] for before in job.after if before in places],
            job.priority,
        )
        for job, each in timed
        if job.stale
    ]


def stages_of(timed: Timed) -> list[Stage]:
    """What is to be done, by rule, in the order of the work."""
    rules: dict[str, Timed] = collections.defaultdict(list)
    for job, each in timed:
        rules[job.rule].append((job, each))
    stages = []
    for rule, jobs in rules.items():
        todo = [each for job, each in jobs if job.stale]
        if not todo:
            continue
        passes = [(one, found) for each in todo for one, found in each.estimates]
        stages.append(
            Stage(
                rule=rule,
                jobs=len(todo),
                of=len(jobs),
                evaluations=sum(one.evaluations for one, _ in passes),
                measured=sum(each.of_basis("measured") for each in todo),
                scaled=sum(each.of_basis("scaled") for each in todo),
                unknown=sum(one.evaluations for one, found in passes if found.basis == "not measured"),
                start=sum(each.start for each in todo),
                other=sum(each.other for each in todo),
                counted=all(each.counted for each in todo),
            )
        )
    return stages


def cost_of_draws(work: Work, jobs: Sequence[Planned], hardware: Hardware, n: int) -> tuple[int, float]:
    """Network evaluations, and hours of networks as far as they are known, of all sampling anew with n draws."""
    evaluations, seconds = 0, 0.0
    for job in jobs:
        if job.rule == "sample":
            for passes in work.of(dataclasses.replace(job, params=job.params | {"n": n})):
                found = hardware.estimate(passes).seconds
                evaluations += passes.evaluations
                seconds += 0.0 if math.isnan(found) else found
    return evaluations, seconds / 3600


def _held(job: Planned, each: Duration, hardware: Hardware) -> bool:
    """Whether a job holds a device: a GPU, or, on a CPU, the core that its networks run on."""
    return bool(job.resources.get("gpu")) if hardware.gpu else bool(each.estimates)


def _rests_on(timed: Timed) -> dict[str, dict[str, float]]:
    """Seconds of networks by measured case, and by in what they differ from it; "" for those that do not."""
    found: dict[str, dict[str, float]] = collections.defaultdict(lambda: collections.defaultdict(float))
    for _, each in timed:
        for passes, estimate in each.estimates:
            if estimate.basis == "not measured":
                found["not measured"][_unknown(passes)] += 0.0
            elif estimate.seconds:
                found[estimate.like][", ".join(estimate.differs)] += estimate.seconds
    return {like: dict(parts) for like, parts in found.items()}


def _unknown(passes: Any) -> str:
    return " behind ".join(network.label for network in (passes.segmenter, passes.denoiser) if network)


def _plain(value: Any) -> Any:
    """A value with NaN as None: JSON has no NaN."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
