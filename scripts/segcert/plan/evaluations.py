"""How often a job asks the networks, and in what form: from the parameters that Snakemake would hand to its script."""

import collections
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from segcert.config import Config
from segcert.data.catalogue import Dataset
from segcert.plan.counts import Images
from segcert.plan.jobs import Planned
from segcert.plan.networks import Network, gflop
from segcert.smoothing.denoiser_scores import IMAGES as SCORED
from segcert.smoothing.network_costs import BATCHES
from segcert.training.denoiser import VALIDATION_LEVELS
from segcert.training.schedule import steps_of

Kind = Literal["forward", "gradient", "training"]
# Of a forward pass: a gradient for the image costs one more, one for the weights as well yet another (Kaplan et al.
# 2020, section 2.1).
ARITHMETIC = {"forward": 1, "gradient": 2, "training": 3}


@dataclasses.dataclass(frozen=True)
class Passes:
    """Many alike calls of a denoiser, a segmenter, or one after the other.

    Attributes
    ----------
    kind
        "forward": labels alone; "gradient": with a gradient for the image; "training": a step of the segmenter or,
        where there is none, of the denoiser (a denoiser before a segmenter in training is only asked).
    images
        How many images go through, the padding of batches among them.
    batch_size, size, channels
        Of a batch: its images, their height and width in pixels, as the networks see them, and their channels.
    denoising_steps
        Calls of the denoiser per image.
    """

    kind: Kind
    segmenter: Network | None
    denoiser: Network | None
    images: float
    batch_size: int
    size: int
    channels: int
    precision: str = "float32"
    noise: str = "none"
    denoising_steps: int = 1

    @property
    def evaluations(self) -> int:
        """Network calls, each on one image."""
        return round(self.images) * (bool(self.segmenter) + (self.denoising_steps if self.denoiser else 0))

    @property
    def gflop(self) -> float:
        """10^9 operations of one image; NaN where they are not known."""
        factor = ARITHMETIC[self.kind]
        if self.segmenter is None:
            return self._of_denoiser * factor
        trained = gflop(self.segmenter, self.channels, self.size) * factor
        before = self._of_denoiser * (1 if self.kind == "training" else factor)
        return trained + before

    @property
    def _of_denoiser(self) -> float:
        return self.denoising_steps * gflop(self.denoiser, self.channels, self.size) if self.denoiser else 0.0


@dataclasses.dataclass(frozen=True)
class Work:
    """What evaluations depend on besides a job: the images, data sets, networks, and how many jobs share the images."""

    config: Config
    images: Mapping[str, Images]
    about: Mapping[str, Dataset]
    networks: Mapping[str, Network]
    shards: Mapping[tuple[str, ...], int]

    def of(self, job: Planned) -> list[Passes]:
        """All passes of a job; none for a job without networks."""
        return list(RULES[job.rule](self, job)) if job.rule in RULES else []

    def images_of(self, job: Planned) -> int:
        """How many of the certified images a job goes over: those of its data set, or of its shard."""
        count = self.images[job.wildcards["dataset"]].test
        if "shard" not in job.wildcards:
            return count
        shards = self.shards[shard_key(job)]
        return len(range(int(job.wildcards["shard"]) % shards, count, shards))

    def certified(self, job: Planned) -> int:
        """The number of certificates that a job decides: one for each of its images and noise levels."""
        return self.images_of(job) * len(self.config.sigmas)

    def side(self, job: Planned) -> int:
        """Height and width of what the networks see."""
        return int(self.config.image_size // job.params.get("pool", 1))


def shard_key(job: Planned) -> tuple[str, ...]:
    """What the jobs have in common that share the images of a data set."""
    return (job.rule, *(value for name, value in job.wildcards.items() if name != "shard"))


def count_shards(jobs: Sequence[Planned]) -> Mapping[tuple[str, ...], int]:
    """How many jobs share the images, by `shard_key`."""
    return collections.Counter(shard_key(job) for job in jobs if "shard" in job.wildcards)


def padded(count: int, batch_size: int) -> int:
    """As many images as whole batches hold: the last one is padded."""
    return math.ceil(count / batch_size) * batch_size


def sampled(images: int, n0: int, n: int, batch_size: int) -> int:
    """Noisy copies that pass the networks: the last batch of an image is padded."""
    return images * padded(n0 + n, batch_size)


def _sample(work: Work, job: Planned) -> Iterator[Passes]:
    params, settings = job.params, job.params["settings"]
    images = sampled(work.images_of(job), params["n0"], params["n"], settings["batch_size"])
    yield _pair(work, job, images, settings["batch_size"], precision=settings["precision"], noise=params["noise"])


def _predict(work: Work, job: Planned) -> Iterator[Passes]:
    yield _pair(work, job, work.images_of(job), 1)


def _attack(work: Work, job: Planned) -> Iterator[Passes]:
    params, settings = job.params, job.params["settings"]
    attacks = min(settings["images"], work.images_of(job)) * len(settings["factors"]) * len(params["sigmas"])
    like = {"precision": params["precision"], "noise": params["noise"]}
    yield _pair(work, job, attacks * settings["steps"] * settings["copies"], settings["copies"], "gradient", **like)
    decided = sampled(attacks, 1, settings["draws"], params["batch_size"])
    yield _pair(work, job, decided, params["batch_size"], **like)


def _denoise_examples(work: Work, job: Planned) -> Iterator[Passes]:
    if job.params["denoiser"]:
        examples = min(job.params["examples"], work.images[job.wildcards["dataset"]].test)
        yield _pair(work, job, examples * len(job.params["sigmas"]), 1)


def _score_denoisers(work: Work, job: Planned) -> Iterator[Passes]:
    images = min(SCORED, work.images[job.wildcards["dataset"]].val) * len(job.params["sigmas"])
    for folder in job.params["denoisers"].values():
        yield _pair(work, job, images, 1, folders=(None, folder))


def _measure_costs(work: Work, job: Planned) -> Iterator[Passes]:
    settings = job.params["settings"]
    images = (2 + BATCHES) * settings["batch_size"]  # one batch to count, one to warm up
    for _, folders in job.params["pairings"]:
        yield _pair(work, job, images, settings["batch_size"], folders=folders, precision=settings["precision"])


def _train_segmenter(work: Work, job: Planned) -> Iterator[Passes]:
    params, settings = job.params, job.params["settings"]
    images, denoiser = work.images[job.wildcards["dataset"]], params["tuning"].get("denoiser")
    network = work.networks[params["folder"]]
    form = {"batch_size": settings["batch_size"], "size": work.side(job), "channels": _channels(work, job)}
    steps = steps_of(settings, images.train)
    before = {
        "denoiser": work.networks[denoiser] if denoiser else None,
        "denoising_steps": params["tuning"].get("denoising_steps", 1),
    }
    learned = steps * settings["batch_size"]
    yield Passes("training", network, images=learned, precision=settings["precision"], **before, **form)
    validated = math.ceil(steps / settings["evaluate_every"]) * images.val
    yield Passes("forward", network, None, validated, **form)
    if denoiser:
        yield Passes("forward", None, images=images.val, **before, **form)


def _train_denoiser(work: Work, job: Planned) -> Iterator[Passes]:
    settings, sources = job.params["settings"], job.wildcards["source"].split("+")
    train, val = (sum(getattr(work.images[name], split) for name in sources) for split in ("train", "val"))
    network, steps = work.networks[job.params["folder"]], steps_of(settings, train)
    channels = work.about[sources[0]].channels
    form = {"batch_size": settings["batch_size"], "size": work.side(job), "channels": channels}
    learned = steps * settings["batch_size"]
    yield Passes("training", None, network, learned, precision=settings["precision"], **form)
    yield Passes(
        "forward", None, network, math.ceil(steps / settings["evaluate_every"]) * val * VALIDATION_LEVELS, **form
    )


def _pair(
    work: Work,
    job: Planned,
    images: int,
    batch_size: int,
    kind: Kind = "forward",
    *,
    folders: Sequence[str | None] | None = None,
    precision: str = "float32",
    noise: str = "none",
) -> Passes:
    """Passes of a segmenter and the denoiser in front of it, by default those of the job's parameters."""
    segmenter, denoiser = folders or (job.params.get("segmenter"), job.params.get("denoiser"))
    return Passes(
        kind,
        work.networks[segmenter] if segmenter else None,
        work.networks[denoiser] if denoiser else None,
        images,
        batch_size,
        work.side(job),
        _channels(work, job),
        precision,
        noise,
        job.params.get("denoising_steps", 1),
    )


def _channels(work: Work, job: Planned) -> int:
    return work.about[job.wildcards["dataset"]].channels


RULES: dict[str, Callable[[Work, Planned], Iterator[Passes]]] = {
    "sample": _sample,
    "predict": _predict,
    "attack": _attack,
    "denoise_examples": _denoise_examples,
    "score_denoisers": _score_denoisers,
    "measure_costs": _measure_costs,
    "train_segmenter": _train_segmenter,
    "train_denoiser": _train_denoiser,
}
