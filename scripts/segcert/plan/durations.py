"""How long each job takes: its start, its networks on some hardware, and what else was measured of its rule."""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segcert.plan.evaluations import Passes, Work
from segcert.plan.jobs import ForecastError, Planned
from segcert.plan.throughput import Basis, Estimate, Hardware

STARTUP = "startup-cpu.json"
SCRIPTS = {"import_program": "import_network"} | dict.fromkeys(
    ("version_data", "version_models", "version_results"), "version"
)  # of the rules that are not named like their script
REPORT = "report.json"
PREPARE = "prepare.json"


@dataclasses.dataclass(frozen=True)
class Overheads:
    """What jobs cost besides their networks, as benchmarks/{startup,report,prepare}.py have measured it.

    hardware: on what. imports: seconds of a rule's script. job: seconds of what else it takes to start and end one, of
    "networks" and "others"; denoiser: seconds of the imports of one. certify: seconds for an image and 10^6 pixels.
    report: seconds of a job of the report on `rows` rows (images x pairings x sigmas). prepare: for 10^6 pixels of an
    image as it comes, by workers. bytes: see segcert.plan.disk.
    """

    hardware: str
    imports: Mapping[str, float]
    job: Mapping[str, float]
    denoiser: float
    certify: float
    report: Mapping[str, float]
    rows: float
    prepare: Mapping[int, float]
    bytes: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Duration:
    """A job's seconds: until its script works, in its networks, and in what else was measured of it.

    estimates: of each of its passes. seconds: of all; passes that are not measured count as none.
    """

    start: float
    estimates: list[tuple[Passes, Estimate]]
    other: float
    counted: bool

    @property
    def networks(self) -> float:
        """Seconds of the networks, as far as they are known."""
        return sum(each.seconds for _, each in self.estimates if not math.isnan(each.seconds))

    @property
    def seconds(self) -> float:
        """Of the job, as far as they are known."""
        return self.start + self.networks + self.other

    def of_basis(self, basis: Basis) -> float:
        """Seconds of the networks that are known in one way."""
        return sum(each.seconds for _, each in self.estimates if each.basis == basis)


def read_overheads(folder: Path) -> Overheads:
    """Measured overheads in a folder. Raises ForecastError, naming the file that is not there."""
    documents: dict[str, Any] = {}
    for name in (STARTUP, REPORT, PREPARE):
        path = folder / name
        if not path.exists():
            raise ForecastError(
                f"{path}: missing; it says what jobs cost besides their networks. Run `segcert plan` in a checkout of "
                f"segcert, or measure: python -m benchmarks.{name.partition('-')[0].removesuffix('.json')}"
            )
        documents[name] = json.loads(path.read_text())
    startup, report, prepare = documents[STARTUP], documents[REPORT], documents[PREPARE]
    largest = max(startup["work"]["certify"], key=int)
    return Overheads(
        hardware=startup["hardware"],
        imports=startup["imports"],
        job=startup["job"],
        denoiser=startup["imports"]["a denoiser"],
        certify=startup["work"]["certify"][largest],
        report={rule: jobs["seconds"] / jobs["jobs"] for rule, jobs in report["jobs"].items()},
        rows=report["rows"],
        prepare={
            int(workers): 1e6 / (found["images_per_second"] * prepare["size"] ** 2)
            for workers, found in prepare["workers"].items()
        },
        bytes=startup["bytes"],
    )


def duration(work: Work, job: Planned, hardware: Hardware, overheads: Overheads, rows: int) -> Duration:
    """How long a job takes. `rows`: of the run's tables, images x pairings x sigmas."""
    estimates = [(passes, hardware.estimate(passes)) for passes in work.of(job)]
    imports = overheads.imports.get(SCRIPTS.get(job.rule, job.rule), max(overheads.imports.values()))
    start = imports + overheads.job["networks" if estimates else "others"]
    if job.params.get("denoiser"):
        start += overheads.denoiser
    other = _other(work, job, overheads, rows, start)
    return Duration(start, estimates, other or 0.0, bool(estimates) or other is not None)


def _other(work: Work, job: Planned, overheads: Overheads, rows: int, start: float) -> float | None:
    """Seconds of what is no network; None where only the start is known."""
    if job.rule == "certify":
        return work.certified(job) * work.config.image_size**2 / 1e6 * overheads.certify
    if job.rule == "prepare_release":
        name = job.wildcards["dataset"]
        sizes = work.about[name].native_sizes
        if sizes:
            height, width = sizes[0]
            workers = max(each for each in overheads.prepare if each <= max(1, job.threads))
            return work.images[name].all * height * width / 1e6 * overheads.prepare[workers]
    if job.rule in overheads.report:
        return max(0.0, overheads.report[job.rule] - start) * rows / overheads.rows
    return None
