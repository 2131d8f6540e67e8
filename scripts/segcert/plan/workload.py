"""Network calls and operations of each job, computed from the parameters that Snakemake would pass to its script."""

import dataclasses
import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from segcert.config import Config
from segcert.data.catalogue import Dataset
from segcert.plan.configured_run import ConfiguredRun
from segcert.plan.image_counts import Images, images_of
from segcert.plan.jobs import JobGraph, PlannedJob
from segcert.smoothing.denoiser_scores import IMAGES as SCORED
from segcert.smoothing.network_costs import BATCHES, gflop_of
from segcert.training.denoiser import VALIDATION_LEVELS
from segcert.training.schedule import steps_of

DENOISER, ADM, UNKNOWN = "denoiser", "adm256", "unknown"
Kind = Literal["forward", "gradient", "training"]
# Operations of a call, in units of a forward pass. The gradient with respect to the image costs one more unit, and the
# gradient with respect to the weights costs another unit (Kaplan et al. 2020, section 2.1).
ARITHMETIC = {"forward": 1, "gradient": 2, "training": 3}


class Network(NamedTuple):
    """Hashable description of a network.

    Attributes
    ----------
    architecture
        Architecture of a segmenter, "denoiser", "adm256", or "unknown" for an exported network, whose operations cannot
        be counted.
    arguments
        Arguments with which the network is built, as JSON.
    """

    architecture: str
    arguments: str = "{}"

    @classmethod
    def of(cls, architecture: str, arguments: Mapping[str, Any]) -> "Network":
        """Return a network from its architecture and a mapping of arguments."""
        return cls(architecture, json.dumps(dict(arguments), sort_keys=True))

    @property
    def label(self) -> str:
        """The architecture and the size of the network, as text."""
        values = json.loads(self.arguments)
        sizes = [f"{key} {values[key]}" for key in ("width", "depth", "channels") if key in values]
        return f"{self.architecture} ({', '.join(sizes)})" if sizes else self.architecture


class Calls(NamedTuple):
    """Calls of a network, each on one image.

    Attributes
    ----------
    images
        Number of calls, including calls on images that pad a batch.
    size, channels
        Height and width, in pixels, and number of channels of the network's input.
    kind
        "forward": only the output. "gradient": also the gradient with respect to the image. "training": a training
        step.
    """

    network: Network
    images: int
    size: int
    channels: int
    precision: str = "float32"
    kind: Kind = "forward"

    @property
    def gflop(self) -> float:
        """Number of operations in all calls, in billions, or NaN if it is not known."""
        return self.images * ARITHMETIC[self.kind] * network_size(self.network, self.channels, self.size).gflop

    @property
    def training(self) -> bool:
        """True if the calls are training steps."""
        return self.kind == "training"

    @property
    def denoiser(self) -> bool:
        """True if a denoiser is called."""
        return self.network.architecture in (DENOISER, ADM)

    @property
    def architecture(self) -> str:
        """Architecture of the network that is called."""
        return self.network.architecture


@dataclasses.dataclass(frozen=True)
class Workload:
    """Information about a run that, together with the parameters of a job, determines the job's network calls.

    Attributes
    ----------
    images, about
        Dicts that map the name of each data set to its numbers of images and to its description.
    networks
        Dict that maps the path of each model folder to the network in it.
    """

    config: Config
    images: Mapping[str, Images]
    about: Mapping[str, Dataset]
    networks: Mapping[str, Network]

    @classmethod
    def of(cls, graph: JobGraph, certified: int | None = None) -> "Workload":
        """Return the workload of a run. `certified` replaces the number of test images of each data set."""
        run, images = ConfiguredRun.read(graph.config), {}
        for name in run.about:
            images[name] = images_of(name, run, Path(f"data/prepared/{name}/index.csv"), certified)
        return cls(run.config, images, run.about, _networks_of(graph.jobs, run.about))

    def calls_of(self, job: PlannedJob) -> list[Calls]:
        """Return all calls of a job. For a job without networks, the list is empty."""
        if job.rule not in COUNTED:
            return []
        return [calls for calls in COUNTED[job.rule](self, job) if calls.images]

    def images_of(self, job: PlannedJob) -> int:
        """Return the number of test images that a job uses: all test images of its data set, or those in its shard."""
        count = self.images[job.wildcards["dataset"]].test
        if "shard" not in job.wildcards:
            return count
        return len(range(int(job.wildcards["shard"]), count, job.params["shards"]))

    def certified(self, job: PlannedJob) -> int:
        """Return the number of certificates that a job computes: one for each image and noise level."""
        return self.images_of(job) * len(self.config.sigmas)

    def calls(
        self, job: PlannedJob, folder: str, images: int, precision: str = "float32", kind: Kind = "forward"
    ) -> Calls:
        """Describe calls of the network in a model folder: one call for each of `images` images."""
        size = self.config.image_size // job.params.get("pool", 1)
        return Calls(self.networks[folder], images, size, self.about[sources(job)[0]].channels, precision, kind)

    def pair(self, job: PlannedJob, images: int, precision: str = "float32", kind: Kind = "forward") -> Iterator[Calls]:
        """Yield calls of a job's segmenter and of the denoiser in front of it, if the job has these networks."""
        if job.params.get("segmenter"):
            yield self.calls(job, job.params["segmenter"], images, precision, kind)
        if job.params.get("denoiser"):
            yield self.calls(job, job.params["denoiser"], images * job.params["denoising_steps"], precision, kind)


def sampled(images: int, n0: int, n: int, batch_size: int) -> int:
    """Return the number of noisy copies on which the networks are called.

    A batch may contain draws of several blocks, and the last batch of an image is padded.
    """
    return images * math.ceil((n0 + n) / batch_size) * batch_size


class NetworkSize(NamedTuple):
    """Size of a network: operations per image, in billions, and bytes of all weights.

    Sizes that are not known are NaN.
    """

    gflop: float = math.nan
    weight_bytes: float = math.nan


@functools.cache
def network_size(network: Network, channels: int, size: int) -> NetworkSize:
    """Return the size of a network for an image of shape (channels, size, size).

    Operations are counted as in `measure_costs`. The network is built on torch's meta device: no memory is used for
    weights, and nothing is computed.
    """
    import torch

    if network.architecture == UNKNOWN:
        return NetworkSize()
    arguments = json.loads(network.arguments)
    step: list[torch.Tensor] = []
    try:
        with torch.device("meta"), torch.no_grad():
            built: torch.nn.Module
            if network.architecture == ADM:
                from segcert.networks.adm import adm_config
                from segcert.networks.diffusers_parts import UNet2DModel

                built = UNet2DModel(**adm_config())
                channels = 3  # a gray image is replicated
            elif network.architecture == DENOISER:
                from segcert.training.denoiser import build_unet

                built = build_unet(arguments, arguments["in_channels"], size)
            else:
                from segcert.networks.registry import build_segmenter

                built = build_segmenter(network.architecture, arguments)
    except RuntimeError:  # a user-supplied network that computes while it is built
        return NetworkSize()
    weight_bytes = float(sum(tensor.numel() * tensor.element_size() for tensor in built.state_dict().values()))
    if network.architecture in (DENOISER, ADM):
        step = [torch.zeros((), device="meta")]
    try:
        with torch.no_grad():
            image = torch.empty(1, channels, size, size, device="meta")
            return NetworkSize(gflop_of(built.eval(), image, *step), weight_bytes)
    except (RuntimeError, NotImplementedError, ValueError, TypeError):  # a user-supplied network that reads values
        return NetworkSize(weight_bytes=weight_bytes)


def _networks_of(jobs: Sequence[PlannedJob], sets: Mapping[str, Dataset]) -> dict[str, Network]:
    """Return a dict that maps each model folder to its network, from the jobs that make these networks."""
    found = {}
    for job in jobs:
        if "network" in job.params:
            architecture, arguments = (job.params["network"][key] for key in ("architecture", "arguments"))
            found[job.params["folder"]] = Network.of(architecture, arguments) if architecture else Network(UNKNOWN)
        elif job.rule == "train_denoiser":
            arguments = {key: job.params["settings"][key] for key in ("channels", "layers_per_block")}
            arguments["in_channels"] = sets[sources(job)[0]].channels
            found[job.params["folder"]] = Network.of(DENOISER, arguments)
        elif job.rule == "import_adm":
            found[job.params["folder"]] = Network(ADM)
    return found


def sources(job: PlannedJob) -> list[str]:
    """Return the data sets whose images a job reads: a single one, or all data sets on which a denoiser is trained."""
    return (job.wildcards.get("source") or job.wildcards["dataset"]).split("+")


def _sample(work: Workload, job: PlannedJob) -> Iterator[Calls]:
    settings = job.params["settings"]
    copies = sampled(work.images_of(job), job.params["n0"], job.params["n"], settings["batch_size"])
    return work.pair(job, copies, settings["precision"])


def _predict(work: Workload, job: PlannedJob) -> Iterator[Calls]:
    return work.pair(job, work.images_of(job))


def _attack(work: Workload, job: PlannedJob) -> Iterator[Calls]:
    params, settings = job.params, job.params["settings"]
    images = min(settings["images"], work.images_of(job)) * len(params["sigmas"])
    copies = images * len(settings["factors"]) * settings["steps"] * settings["copies"]
    yield from work.pair(job, copies, params["precision"], "gradient")
    yield from work.pair(job, sampled(images, 0, settings["draws"], params["batch_size"]), params["precision"])


def _denoise_examples(work: Workload, job: PlannedJob) -> Iterator[Calls]:
    return work.pair(job, min(job.params["examples"], work.images_of(job)) * len(job.params["sigmas"]))


def _score_denoisers(work: Workload, job: PlannedJob) -> Iterator[Calls]:
    images = min(SCORED, work.images[job.wildcards["dataset"]].val) * len(job.params["sigmas"])
    for folder in job.params["denoisers"].values():
        yield work.calls(job, folder, images * job.params["denoising_steps"])


def _measure_costs(work: Workload, job: PlannedJob) -> Iterator[Calls]:
    settings = job.params["settings"]
    images = (2 + BATCHES) * settings["batch_size"]  # one batch to count operations, one to warm up
    for _, (segmenter, denoiser) in job.params["pairings"]:
        yield work.calls(job, segmenter, images, settings["precision"])
        if denoiser:
            yield work.calls(job, denoiser, images * job.params["denoising_steps"], settings["precision"])


def _train_segmenter(work: Workload, job: PlannedJob) -> Iterator[Calls]:
    folder, settings, tuning = job.params["folder"], job.params["settings"], job.params["tuning"]
    images = work.images[job.wildcards["dataset"]]
    steps = steps_of(settings, images.train)
    yield work.calls(job, folder, steps * settings["batch_size"], settings["precision"], "training")
    yield work.calls(job, folder, math.ceil(steps / settings["evaluate_every"]) * images.val)
    if tuning:  # the training images are denoised; the denoiser itself is not trained
        denoised = (steps * settings["batch_size"] + images.val) * tuning["denoising_steps"]
        yield work.calls(job, tuning["denoiser"], denoised, settings["precision"])


def _train_denoiser(work: Workload, job: PlannedJob) -> Iterator[Calls]:
    folder, settings = job.params["folder"], job.params["settings"]
    train = sum(work.images[name].train for name in sources(job))
    val = sum(work.images[name].val for name in sources(job))
    steps = steps_of(settings, train)
    yield work.calls(job, folder, steps * settings["batch_size"], settings["precision"], "training")
    validations = math.ceil(steps / settings["evaluate_every"])
    yield work.calls(job, folder, validations * val * VALIDATION_LEVELS)


COUNTED: dict[str, Callable[[Workload, PlannedJob], Iterator[Calls]]] = {
    "sample": _sample,
    "predict": _predict,
    "attack": _attack,
    "denoise_examples": _denoise_examples,
    "score_denoisers": _score_denoisers,
    "measure_costs": _measure_costs,
    "train_segmenter": _train_segmenter,
    "train_denoiser": _train_denoiser,
}
