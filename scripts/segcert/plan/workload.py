"""Network calls of each job, and their arithmetic: from the parameters that Snakemake would hand to its script."""

import collections
import dataclasses
import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from segcert.config import Config
from segcert.data.catalogue import Dataset
from segcert.plan.image_counts import Images, about, images_of
from segcert.plan.jobs import JobGraph, Planned
from segcert.smoothing.denoiser_scores import IMAGES as SCORED
from segcert.smoothing.network_costs import BATCHES, gflop_of
from segcert.training.denoiser import VALIDATION_LEVELS
from segcert.training.schedule import steps_of

DENOISER, ADM, UNKNOWN = "denoiser", "adm256", "given"
Kind = Literal["forward", "gradient", "training"]
# Of a forward pass: a gradient for the image costs one more, one for the weights as well yet another (Kaplan et al.
# 2020, section 2.1).
ARITHMETIC = {"forward": 1, "gradient": 2, "training": 3}


class Network(NamedTuple):
    """A network, hashable.

    architecture: a segmenter's, "denoiser", "adm256", or "given" for a program whose operations are not known.
    arguments: those that it is built with, as JSON.
    """

    architecture: str
    arguments: str = "{}"

    @classmethod
    def of(cls, architecture: str, arguments: Mapping[str, Any]) -> "Network":
        """A network from plain arguments."""
        return cls(architecture, json.dumps(dict(arguments), sort_keys=True))

    @property
    def label(self) -> str:
        """In words: the architecture, and how large it is."""
        values = json.loads(self.arguments)
        sizes = [f"{key} {values[key]}" for key in ("width", "depth", "channels") if key in values]
        return f"{self.architecture} ({', '.join(sizes)})" if sizes else self.architecture


@dataclasses.dataclass(frozen=True)
class Calls:
    """Many alike calls of a denoiser, a segmenter, or one after the other.

    Attributes
    ----------
    kind
        "forward": labels alone; "gradient": with a gradient for the image; "training": a step of the segmenter or,
        where there is none, of the denoiser (a denoiser before a segmenter in training is only asked).
    images
        How many images go through, the padding of batches among them.
    size, channels
        Height and width in pixels of an image, as the networks see it, and its channels.
    denoising_steps
        Calls of the denoiser per image.
    """

    segmenter: Network | None
    denoiser: Network | None
    images: int
    size: int
    channels: int
    precision: str = "float32"
    kind: Kind = "forward"
    denoising_steps: int = 1

    @property
    def count(self) -> int:
        """Network calls, each on one image."""
        return self.images * (bool(self.segmenter) + (self.denoising_steps if self.denoiser else 0))

    @property
    def gflop(self) -> float:
        """10^9 operations of one image; NaN where they are not known."""
        factor = ARITHMETIC[self.kind]
        of_denoiser = 0.0
        if self.denoiser:
            of_denoiser = self.denoising_steps * gflop(self.denoiser, self.channels, self.size)
        if self.segmenter is None:
            return of_denoiser * factor
        of_segmenter = gflop(self.segmenter, self.channels, self.size)
        return of_segmenter * factor + of_denoiser * (1 if self.kind == "training" else factor)

    @property
    def denoised(self) -> bool:
        """True where a denoiser is asked: it then does nearly all of the arithmetic."""
        return self.denoiser is not None

    @property
    def architecture(self) -> str:
        """Of the network that does most of the arithmetic."""
        largest = self.denoiser or self.segmenter
        return largest.architecture if largest else UNKNOWN


@dataclasses.dataclass(frozen=True)
class Workload:
    """All that the calls of jobs depend on besides their parameters.

    images, about: by data set. networks: by model folder. shards: how many jobs share the images, by `_shard_key`.
    """

    config: Config
    images: Mapping[str, Images]
    about: Mapping[str, Dataset]
    networks: Mapping[str, Network]
    shards: Mapping[tuple[str, ...], int]

    @classmethod
    def of(cls, graph: JobGraph, certified: int | None = None) -> "Workload":
        """Of a run. `certified` takes the place of the number of test images of each data set."""
        config = Config.read(graph.config)
        sets = {name: about(name, config) for name in config.datasets}
        images = {name: images_of(name, config, Path(f"data/prepared/{name}/index.csv"), certified) for name in sets}
        shards = collections.Counter(_shard_key(job) for job in graph.jobs if "shard" in job.wildcards)
        return cls(config, images, sets, _networks_of(graph.jobs, sets), shards)

    def calls_of(self, job: Planned) -> list[Calls]:
        """All calls of a job; none for a job without networks."""
        if job.rule not in COUNTED:
            return []
        return [calls for calls in COUNTED[job.rule](self, job) if calls.images]

    def images_of(self, job: Planned) -> int:
        """The number of certified images that a job goes over: those of its data set, or of its shard."""
        count = self.images[job.wildcards["dataset"]].test
        if "shard" not in job.wildcards:
            return count
        return len(range(int(job.wildcards["shard"]), count, self.shards[_shard_key(job)]))

    def certified(self, job: Planned) -> int:
        """The number of certificates that a job decides: one for each of its images and noise levels."""
        return self.images_of(job) * len(self.config.sigmas)

    def calls(self, job: Planned, images: int, *, folders: Sequence[str | None] | None = None, **form: Any) -> Calls:
        """Calls of a job on images.

        folders: of the segmenter and of the denoiser, where they are not those of its parameters. form: fields of Calls
        that are not their defaults.
        """
        segmenter, denoiser = folders or (job.params.get("segmenter"), job.params.get("denoiser"))
        return Calls(
            segmenter=self.networks[segmenter] if segmenter else None,
            denoiser=self.networks[denoiser] if denoiser else None,
            images=images,
            size=self.config.image_size // job.params.get("pool", 1),
            channels=self.about[_sources(job)[0]].channels,
            **{"denoising_steps": job.params.get("denoising_steps", 1), **form},
        )


def sampled(images: int, n0: int, n: int, batch_size: int) -> int:
    """Noisy copies that pass the networks: batches run on from block to block, and the last of an image is padded."""
    return images * math.ceil((n0 + n) / batch_size) * batch_size


@functools.cache
def gflop(network: Network, channels: int, size: int) -> float:
    """10^9 operations of one call on an image (channels, size, size), as `measure_costs` counts; NaN: not known.

    The network is built without memory for its weights, and nothing is computed.
    """
    built = _built(network, size)
    if built is None:
        return math.nan
    import torch

    seen = 3 if network.architecture == ADM else channels  # ADM gets a gray image three times
    step = [] if network.architecture not in (DENOISER, ADM) else [torch.zeros((), device="meta")]
    try:
        with torch.no_grad():
            return gflop_of(built, torch.empty(1, seen, size, size, device="meta"), *step)
    except (RuntimeError, NotImplementedError, ValueError, TypeError):  # a network of one's own that must see numbers
        return math.nan


@functools.cache
def weight_bytes(network: Network, size: int) -> float:
    """Bytes of all tensors of a network, as a file of weights holds them but for its header; NaN: not known."""
    built = _built(network, size)
    if built is None:
        return math.nan
    return float(sum(tensor.numel() * tensor.element_size() for tensor in built.state_dict().values()))


@functools.cache
def _built(network: Network, size: int) -> Any:
    """The network on torch's device without memory, or None where it cannot be built there."""
    import torch

    arguments = json.loads(network.arguments)
    if network.architecture == UNKNOWN:
        return None
    with torch.device("meta"):
        if network.architecture == ADM:
            from segcert.networks.adm import adm_config
            from segcert.networks.denoiser import UNet2DModel

            return UNet2DModel(**adm_config()).eval()
        if network.architecture == DENOISER:
            from segcert.training.denoiser import build_unet

            return build_unet(arguments, arguments["in_channels"], size).eval()
        from segcert.networks.registry import build_segmenter

        try:
            return build_segmenter(network.architecture, arguments).eval()
        except RuntimeError:  # a network of one's own that computes while it is built
            return None


def _networks_of(jobs: Sequence[Planned], sets: Mapping[str, Dataset]) -> dict[str, Network]:
    """The network in each model folder, from the jobs that make them."""
    found = {}
    for job in jobs:
        if "network" in job.params:
            architecture, arguments = (job.params["network"][key] for key in ("architecture", "arguments"))
            found[job.params["folder"]] = Network.of(architecture, arguments) if architecture else Network(UNKNOWN)
        elif job.rule == "train_denoiser":
            arguments = {key: job.params["settings"][key] for key in ("channels", "layers_per_block")}
            arguments["in_channels"] = sets[_sources(job)[0]].channels
            found[job.params["folder"]] = Network.of(DENOISER, arguments)
        elif job.rule == "import_adm":
            found[job.params["folder"]] = Network(ADM)
    return found


def _sources(job: Planned) -> list[str]:
    """The data sets whose images a job sees: one, or those that a denoiser is trained on."""
    return (job.wildcards.get("source") or job.wildcards["dataset"]).split("+")


def _shard_key(job: Planned) -> tuple[str, ...]:
    """Equal for the jobs that share the images of a data set."""
    return (job.rule, *(value for name, value in job.wildcards.items() if name != "shard"))


def _sample(work: Workload, job: Planned) -> Iterator[Calls]:
    settings = job.params["settings"]
    images = sampled(work.images_of(job), job.params["n0"], job.params["n"], settings["batch_size"])
    yield work.calls(job, images, precision=settings["precision"])


def _predict(work: Workload, job: Planned) -> Iterator[Calls]:
    yield work.calls(job, work.images_of(job))


def _attack(work: Workload, job: Planned) -> Iterator[Calls]:
    params, settings = job.params, job.params["settings"]
    attacks = min(settings["images"], work.images_of(job)) * len(settings["factors"]) * len(params["sigmas"])
    steps = attacks * settings["steps"] * settings["copies"]
    yield work.calls(job, steps, kind="gradient", precision=params["precision"])
    yield work.calls(job, sampled(attacks, 1, settings["draws"], params["batch_size"]), precision=params["precision"])


def _denoise_examples(work: Workload, job: Planned) -> Iterator[Calls]:
    if job.params["denoiser"]:
        yield work.calls(job, min(job.params["examples"], work.images_of(job)) * len(job.params["sigmas"]))


def _score_denoisers(work: Workload, job: Planned) -> Iterator[Calls]:
    images = min(SCORED, work.images[job.wildcards["dataset"]].val) * len(job.params["sigmas"])
    for folder in job.params["denoisers"].values():
        yield work.calls(job, images, folders=(None, folder))


def _measure_costs(work: Workload, job: Planned) -> Iterator[Calls]:
    settings = job.params["settings"]
    images = (2 + BATCHES) * settings["batch_size"]  # one batch to count, one to warm up
    for _, folders in job.params["pairings"]:
        yield work.calls(job, images, folders=folders, precision=settings["precision"])


def _train_segmenter(work: Workload, job: Planned) -> Iterator[Calls]:
    folder, settings, tuning = job.params["folder"], job.params["settings"], job.params["tuning"]
    images, denoiser = work.images[job.wildcards["dataset"]], tuning.get("denoiser")
    denoising = {"denoising_steps": tuning.get("denoising_steps", 1)}
    steps = steps_of(settings, images.train)
    learning = {"kind": "training", "precision": settings["precision"]}
    yield work.calls(job, steps * settings["batch_size"], folders=(folder, denoiser), **learning, **denoising)
    yield work.calls(job, math.ceil(steps / settings["evaluate_every"]) * images.val, folders=(folder, None))
    if denoiser:
        yield work.calls(job, images.val, folders=(None, denoiser), **denoising)


def _train_denoiser(work: Workload, job: Planned) -> Iterator[Calls]:
    folders, settings = (None, job.params["folder"]), job.params["settings"]
    train, val = (sum(getattr(work.images[name], split) for name in _sources(job)) for split in ("train", "val"))
    steps = steps_of(settings, train)
    learning = {"kind": "training", "precision": settings["precision"]}
    yield work.calls(job, steps * settings["batch_size"], folders=folders, **learning)
    validations = math.ceil(steps / settings["evaluate_every"])
    yield work.calls(job, validations * val * VALIDATION_LEVELS, folders=folders)


COUNTED: dict[str, Callable[[Workload, Planned], Iterator[Calls]]] = {
    "sample": _sample,
    "predict": _predict,
    "attack": _attack,
    "denoise_examples": _denoise_examples,
    "score_denoisers": _score_denoisers,
    "measure_costs": _measure_costs,
    "train_segmenter": _train_segmenter,
    "train_denoiser": _train_denoiser,
}
