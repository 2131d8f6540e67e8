"""What networks do per second on named hardware: what was measured there, and what follows from it by arithmetic."""

import dataclasses
import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from segcert.plan.evaluations import Passes, padded
from segcert.plan.jobs import ForecastError
from segcert.plan.networks import DENOISER, Network

DRAWS = 110  # of an image in benchmarks/throughput.py; a rate of draws becomes one of copies, padding among them
CHANNELS, CLASSES = 1, 2  # of the images of benchmarks/
Basis = Literal["measured", "scaled", "not measured"]


@dataclasses.dataclass(frozen=True)
class Measured:
    """Passes that were timed: `passes.images` of them per second, on `threads` of a processor, or a GPU."""

    passes: Passes
    stored: bool
    file: str

    @property
    def label(self) -> str:
        """In words."""
        each = self.passes
        parts = " behind ".join(network.label for network in (each.segmenter, each.denoiser) if network)
        return f"{parts}, {each.size}x{each.size}, batches of {each.batch_size}, {each.precision}"


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Seconds of some passes; `basis` says how they are known, `like` which measured case they rest on.

    seconds is NaN for what is not measured. differs: in what the passes differ from the case.
    """

    seconds: float
    basis: Basis
    like: str = ""
    differs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Hardware:
    """Hardware by a short name, and what was measured on it."""

    name: str
    full_name: str
    cases: tuple[Measured, ...]

    @property
    def gpu(self) -> bool:
        """Whether it is a GPU."""
        return not self.full_name.startswith("cpu")

    def estimate(self, passes: Passes) -> Estimate:
        """How long passes take: as the nearest measured case does, in proportion to the arithmetic."""
        if not passes.images:
            return Estimate(0.0, "measured")
        of_one = _of_one(self, dataclasses.replace(passes, images=1))
        return dataclasses.replace(of_one, seconds=passes.images * of_one.seconds)

    def arithmetic(self) -> tuple[float, float]:
        """The least and most 10^9 operations per second over all cases: how far scaling by arithmetic may mislead."""
        rates = [case.passes.images * case.passes.gflop for case in self.cases]
        return min(rates), max(rates)


@functools.cache
def _of_one(hardware: Hardware, passes: Passes) -> Estimate:
    """The estimate of passes of one image: many jobs differ in nothing but the number of images."""
    training = passes.kind == "training"
    cases = [case for case in hardware.cases if (case.passes.kind == "training") == training]
    if not cases or math.isnan(passes.gflop):
        return Estimate(math.nan, "not measured")
    case = min(cases, key=lambda case: _distance(passes, case))
    differs = tuple(differences(passes, case.passes))
    seconds = passes.images / case.passes.images * passes.gflop / case.passes.gflop
    return Estimate(seconds, "scaled" if differs else "measured", f"{case.label} [{case.file}]", differs)


def differences(passes: Passes, measured: Passes) -> list[str]:
    """In what passes differ from measured ones, in words; the network itself, its input, its batches, arithmetic."""
    found = []
    for what in ("segmenter", "denoiser"):
        ours, theirs = getattr(passes, what), getattr(measured, what)
        if _alike(ours) != _alike(theirs):
            found.append(f"{what} {ours.label if ours else 'none'}")
    fields = {"kind": "", "size": "size ", "channels": "channels ", "batch_size": "batch ", "precision": ""}
    if passes.denoiser:
        fields["denoising_steps"] = "denoising steps "
    for field, word in fields.items():
        if getattr(passes, field) != getattr(measured, field):
            found.append(f"{word}{getattr(passes, field)}")
    if "none" not in (passes.noise, measured.noise) and passes.noise != measured.noise:
        found.append(f"noise {passes.noise}")
    return found


@functools.cache
def _alike(network: Network | None) -> str | None:
    """A network but for the channels of its images and the number of its classes: they hardly count."""
    if network is None:
        return None
    arguments = json.loads(network.arguments)
    own = {key: value for key, value in arguments.items() if key not in ("in_channels", "num_classes")}
    return json.dumps([network.architecture, own])


def _distance(passes: Passes, case: Measured) -> tuple[Any, ...]:
    """How far a measured case is off; what weighs most comes first."""
    theirs = case.passes
    return (
        bool(passes.denoiser) != bool(theirs.denoiser),
        bool(passes.segmenter) != bool(theirs.segmenter),
        passes.precision != theirs.precision,
        _alike(passes.segmenter) != _alike(theirs.segmenter),
        passes.noise not in ("none", theirs.noise),
        abs(math.log(passes.size / theirs.size)),
        abs(math.log(passes.batch_size / theirs.batch_size)),
        case.stored != (passes.noise != "none"),  # a job of the pipeline stores what it draws
    )


def read_hardware(folder: Path) -> dict[str, Hardware]:
    """The hardware whose throughput-NAME.json is in a folder, by name; with its training-NAME.json where that is there.

    Raises ForecastError where there is none.
    """
    found = {}
    for path in sorted(folder.glob("throughput-*.json")):
        name = path.stem.removeprefix("throughput-")
        document = json.loads(path.read_text())
        cases = [_of_loop(document["networks"], loop, path.name) for loop in document["loop"]]
        training = folder / f"training-{name}.json"
        if training.exists():
            cases += [_of_training(case, training.name) for case in json.loads(training.read_text())["cases"]]
        found[name] = Hardware(name, document["hardware"], tuple(cases))
    if not found:
        raise ForecastError(
            f"{folder}/throughput-NAME.json: missing; no hardware was measured. Run `segcert plan` in a checkout of "
            "segcert, or measure: python benchmarks/throughput.py --output benchmarks/results/throughput-NAME.json"
        )
    return found


def _of_loop(networks: Mapping[str, Any], loop: Mapping[str, Any], file: str) -> Measured:
    sizes = dict(networks["segmenter"])
    segmenter = Network.of(sizes.pop("architecture"), {"in_channels": CHANNELS, "num_classes": CLASSES, **sizes})
    denoiser = Network.of(DENOISER, {"in_channels": CHANNELS, **networks["denoiser"]})
    copies = loop["loop_draws_per_s"] * padded(DRAWS, loop["batch_size"]) / DRAWS
    passes = Passes(
        "forward", segmenter, denoiser if loop["denoiser"] else None, copies, loop["batch_size"], loop["size"],
        loop["channels"], loop["precision"], loop["noise"],
    )  # fmt: skip
    return Measured(passes, bool(loop.get("stored")), file)


def _of_training(case: Mapping[str, Any], file: str) -> Measured:
    sizes = {key: case[key] for key in ("width", "depth", "channels", "layers_per_block") if key in case}
    denoiser = case["network"] == DENOISER
    sizes |= {"in_channels": CHANNELS} if denoiser else {"in_channels": CHANNELS, "num_classes": CLASSES}
    network = Network.of(case["network"], sizes)
    passes = Passes(
        "training", None if denoiser else network, network if denoiser else None, case["images_per_second"],
        case["batch_size"], case["size"], CHANNELS, case["precision"],
    )  # fmt: skip
    return Measured(passes, False, file)
