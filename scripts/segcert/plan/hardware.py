"""Measured throughput of networks on named hardware, and the time that network calls take at this throughput."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from segcert.networks.gpus import visible_gpus
from segcert.plan.jobs import ForecastError
from segcert.plan.workload import DENOISER, Calls, Network, sampled

DRAWS = 110  # draws per image in benchmarks/throughput.py; with padding, they determine the number of copies
CHANNELS, CLASSES = 1, 2  # of the images in benchmarks/


class Measurement(NamedTuple):
    """Measured throughput of networks that are called one after another on a device, in images per second.

    `file` is the name of the file that contains the measurement.
    """

    device: str
    file: str
    calls: Sequence[Calls]  # the calls on one image; the last network does most of the arithmetic
    images_per_second: float

    @property
    def gflop_per_second(self) -> float:
        """Throughput in billions of operations per second."""
        return self.images_per_second * sum(calls.gflop for calls in self.calls)

    @property
    def label(self) -> str:
        """Label of the measurement: the networks, the image size, the precision, the kind of call and the file."""
        networks = " behind ".join(calls.network.label for calls in self.calls)
        last = self.calls[-1]
        return f"{networks}, {last.size}x{last.size}, {last.precision}, {last.kind} [{self.file}]"


def measurement_for(calls: Calls, measured: Sequence[Measurement]) -> Measurement | None:
    """Return the measurement from which to predict the time of calls, or None if this kind of call was not measured.

    Training steps are predicted from measurements of training, and all other calls from measurements of the sampling
    loop. Measurements that agree with the calls in three properties are preferred, in this order: the use of a
    denoiser, the architecture (of the denoiser, if used), and the precision. Of the remaining measurements, the one
    with the median throughput is returned. If their number is even, it is the slower of the middle two.
    """
    fitting = [each for each in measured if each.calls[-1].training == calls.training]
    for quality in ("denoiser", "architecture", "precision"):
        alike = [each for each in fitting if getattr(each.calls[-1], quality) == getattr(calls, quality)]
        fitting = alike or fitting
    fitting.sort(key=lambda each: each.gflop_per_second)
    return fitting[(len(fitting) - 1) // 2] if fitting else None


def seconds_of(calls: Calls, measured: Sequence[Measurement]) -> tuple[float, str]:
    """Return the predicted time of network calls, in seconds, and the label of the measurement behind the prediction.

    The time is proportional to the number of operations in the calls. It is NaN if this kind of call was not measured,
    or if the operations cannot be counted.
    """
    measurement = measurement_for(calls, measured)
    if measurement is None or math.isnan(calls.gflop):
        return math.nan, ""
    return calls.gflop / measurement.gflop_per_second, measurement.label


def read_hardware(folder: Path) -> dict[str, list[Measurement]]:
    """Return the measurements in a folder, as a dict with the names of the hardware as keys.

    The measurements of the hardware NAME are in throughput-NAME.json and, if it exists, in training-NAME.json.

    Raises ForecastError if the folder contains no throughput-NAME.json.
    """
    found = {}
    for path in sorted(folder.glob("throughput-*.json")):
        name = path.stem.removeprefix("throughput-")
        document = json.loads(path.read_text())
        device, networks = document["hardware"], document["networks"]
        found[name] = [_of_sampling(device, path.name, networks, loop) for loop in document["loop"]]
        training = folder / f"training-{name}.json"
        if training.exists():
            cases = json.loads(training.read_text())["cases"]
            found[name] += [_of_training(device, training.name, case) for case in cases]
    if not found:
        raise ForecastError(
            f"{folder}/throughput-NAME.json: missing, so there are no measurements to plan with. Run `segcert plan` "
            "in a checkout of "
            "segcert, or measure this machine: python benchmarks/throughput.py --output "
            "benchmarks/results/throughput-NAME.json"
        )
    return found


def choose_hardware(
    known: Mapping[str, Sequence[Measurement]], name: str | None, size: int, device: str
) -> tuple[str, str]:
    """Return the name of the hardware to forecast for, and the reason.

    If `name` is given, it is returned. Otherwise, the configured `device` decides between CPU and GPU; "auto" selects a
    GPU if this machine has one. If several devices of this kind were measured, the device whose measured images are
    closest in size to `size` (height and width of the run's images) is returned. Raises ForecastError if none was
    measured.
    """
    if name is not None:
        if name not in known:
            raise ForecastError(
                f"--hardware: found {name!r}; expected hardware on which segcert was measured: {', '.join(known)}"
            )
        return name, "as requested"
    if device == "auto":
        gpu = bool(visible_gpus())
        why = "this machine has a GPU" if gpu else "this machine has no GPU"
    else:
        gpu = device == "cuda"
        why = f"`device` is {device}"
    distances = []
    for each, measured in known.items():
        if gpu != measured[0].device.startswith("cpu"):
            distances.append((min(abs(math.log(size / case.calls[-1].size)) for case in measured), each))
    if not distances:
        kind = "GPU" if gpu else "CPU"
        raise ForecastError(f"{why}, but there are no measurements for a {kind}. Pass --hardware {' or '.join(known)}")
    return min(distances)[1], why


def _of_sampling(device: str, file: str, networks: Mapping[str, Any], loop: Mapping[str, Any]) -> Measurement:
    sizes = dict(networks["segmenter"])
    called = [Network.of(sizes.pop("architecture"), {"in_channels": CHANNELS, "num_classes": CLASSES, **sizes})]
    if loop["denoiser"]:
        called.append(Network.of(DENOISER, {"in_channels": CHANNELS, **networks["denoiser"]}))
    copies = loop["loop_draws_per_s"] * sampled(1, 0, DRAWS, loop["batch_size"]) / DRAWS
    calls = [Calls(network, 1, loop["size"], loop["channels"], loop["precision"]) for network in called]
    return Measurement(device, file, calls, copies)


def _of_training(device: str, file: str, case: Mapping[str, Any]) -> Measurement:
    arguments = {key: case[key] for key in ("width", "depth", "channels", "layers_per_block") if key in case}
    arguments["in_channels"] = CHANNELS
    if case["network"] != DENOISER:
        arguments["num_classes"] = CLASSES
    network = Network.of(case["network"], arguments)
    calls = Calls(network, 1, case["size"], CHANNELS, case["precision"], "training")
    return Measurement(device, file, [calls], case["images_per_second"])
