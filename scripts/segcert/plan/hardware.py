"""Measured throughput of networks on named hardware, and the seconds per call that follow from it by arithmetic."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from segcert.plan.jobs import ForecastError
from segcert.plan.workload import DENOISER, Calls, Network, sampled

DRAWS = 110  # of an image in benchmarks/throughput.py; a rate of draws becomes one of copies, padding among them
CHANNELS, CLASSES = 1, 2  # of the images of benchmarks/


class Measurement(NamedTuple):
    """Calls that were timed: `images_per_second` like the one image of `calls` passed, on `device`; from `file`."""

    device: str
    file: str
    calls: Calls
    images_per_second: float

    @property
    def gflop_per_second(self) -> float:
        """10^9 operations per second."""
        return self.images_per_second * self.calls.gflop

    @property
    def label(self) -> str:
        """In words."""
        each = self.calls
        networks = " behind ".join(network.label for network in (each.segmenter, each.denoiser) if network)
        return f"{networks}, {each.size}x{each.size}, {each.precision}, {each.kind} [{self.file}]"


def measurement_for(calls: Calls, measured: Sequence[Measurement]) -> Measurement | None:
    """The measurement that says how long calls take; None where nothing of their kind was measured.

    Trainings go by trainings, all else by the sampling loop. Of these count, as far as there are any, those with a
    denoiser or without one like the calls, then those of the same architecture (of the denoiser, if there is one), then
    those of the same precision. Of what is left it is the one of median throughput (the slower of two in the middle).
    """
    fitting = [each for each in measured if (each.calls.kind == "training") == (calls.kind == "training")]
    for quality in ("denoised", "architecture", "precision"):
        alike = [each for each in fitting if getattr(each.calls, quality) == getattr(calls, quality)]
        fitting = alike or fitting
    fitting.sort(key=lambda each: each.gflop_per_second)
    return fitting[(len(fitting) - 1) // 2] if fitting else None


def seconds_of(calls: Calls, measured: Sequence[Measurement]) -> tuple[float, str]:
    """Seconds of calls, in proportion to their arithmetic, and the measurement that says so, in words.

    NaN where nothing of their kind was measured, or their operations cannot be counted.
    """
    measurement = measurement_for(calls, measured)
    if measurement is None or math.isnan(calls.gflop):
        return math.nan, ""
    return calls.images * calls.gflop / measurement.gflop_per_second, measurement.label


def read_hardware(folder: Path) -> dict[str, list[Measurement]]:
    """The measurements on hardware whose throughput-NAME.json is in a folder, by name; training-NAME.json is optional.

    Raises ForecastError where there is none.
    """
    found = {}
    for path in sorted(folder.glob("throughput-*.json")):
        name = path.stem.removeprefix("throughput-")
        document = json.loads(path.read_text())
        device = document["hardware"]
        found[name] = [_of_sampling(device, path.name, document["networks"], loop) for loop in document["loop"]]
        training = folder / f"training-{name}.json"
        if training.exists():
            cases = json.loads(training.read_text())["cases"]
            found[name] += [_of_training(device, training.name, case) for case in cases]
    if not found:
        raise ForecastError(
            f"{folder}/throughput-NAME.json: missing; no hardware was measured. Run `segcert plan` in a checkout of "
            "segcert, or measure: python benchmarks/throughput.py --output benchmarks/results/throughput-NAME.json"
        )
    return found


def choose_hardware(
    known: Mapping[str, Sequence[Measurement]], name: str | None, size: int, *, cpu_only: bool
) -> tuple[str, str]:
    """The name of the hardware to forecast, and why: the one asked for; else the one measured on images most alike.

    `size`: height and width of the run's images. A GPU goes before a CPU on which the same sizes were measured; where
    the configuration says `device: cpu`, no GPU comes into question. Raises ForecastError for a name that is not known.
    """
    if name is not None:
        if name not in known:
            raise ForecastError(f"--hardware: found {name!r}; expected one of {', '.join(known)} (what was measured)")
        return name, "as asked for"
    distances = []
    for each, measured in known.items():
        cpu = measured[0].device.startswith("cpu")
        if cpu or not cpu_only:
            distances.append((min(abs(math.log(size / case.calls.size)) for case in measured), cpu, each))
    if not distances:
        raise ForecastError("`device`: found cpu, but no CPU was measured. Write --hardware " + " or ".join(known))
    _, _, nearest = min(distances)
    return nearest, f"a guess: of what was measured, the nearest to images of {size}x{size}"


def _of_sampling(device: str, file: str, networks: Mapping[str, Any], loop: Mapping[str, Any]) -> Measurement:
    sizes = dict(networks["segmenter"])
    segmenter = Network.of(sizes.pop("architecture"), {"in_channels": CHANNELS, "num_classes": CLASSES, **sizes})
    denoiser = Network.of(DENOISER, {"in_channels": CHANNELS, **networks["denoiser"]}) if loop["denoiser"] else None
    copies = loop["loop_draws_per_s"] * sampled(1, 0, DRAWS, loop["batch_size"]) / DRAWS
    calls = Calls(segmenter, denoiser, 1, loop["size"], loop["channels"], loop["precision"])
    return Measurement(device, file, calls, copies)


def _of_training(device: str, file: str, case: Mapping[str, Any]) -> Measurement:
    arguments = {key: case[key] for key in ("width", "depth", "channels", "layers_per_block") if key in case}
    arguments["in_channels"] = CHANNELS
    segmenter = denoiser = None
    if case["network"] == DENOISER:
        denoiser = Network.of(DENOISER, arguments)
    else:
        segmenter = Network.of(case["network"], arguments | {"num_classes": CLASSES})
    calls = Calls(segmenter, denoiser, 1, case["size"], CHANNELS, case["precision"], "training")
    return Measurement(device, file, calls, case["images_per_second"])
