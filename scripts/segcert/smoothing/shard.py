"""Sampling of a shard, which is a group of test images whose votes are drawn by one job."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from segcert.data.dataset import PreparedDataset
from segcert.io.interruption import interrupted_between_steps
from segcert.io.progress import log, track
from segcert.measurements import measurements_of
from segcert.networks.architectures import modules_of
from segcert.networks.folders import denoiser_digest, segmenter_digest
from segcert.networks.registry import load_segmenter
from segcert.provenance.code import code_digest, target_digest
from segcert.provenance.packages import target_packages, version_of
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.smoothing.store import BlockStore
from segcert.votes import Votes, save_votes

if TYPE_CHECKING:
    from segcert.networks.denoiser import DiffusionDenoiser

SCRIPTS = Path(__file__).parents[2]
# Modules that every draw uses, in addition to those of its networks
DRAWING = ("segcert/smoothing/sampler.py", "segcert/networks/registry.py", "segcert/networks/replicated.py")
DENOISING = "segcert/networks/denoiser.py"


@dataclasses.dataclass(frozen=True)
class Pairing:
    """A segmenter and an optional denoiser, given by their folders.

    The denoiser is evaluated `denoising_steps` times per noisy copy. The networks are loaded when they are first used.
    This raises ModelError if a folder cannot be used.
    """

    segmenter: str | Path
    denoiser: str | Path | None = None
    denoising_steps: int = 1

    @functools.cached_property
    def _loaded(self) -> tuple[nn.Module, dict[str, Any]]:
        return load_segmenter(self.segmenter)

    @property
    def model(self) -> nn.Module:
        """The segmenter, in eval mode."""
        return self._loaded[0]

    @property
    def config(self) -> dict[str, Any]:
        """The content of the segmenter's config.json."""
        return self._loaded[1]

    @functools.cached_property
    def denoise(self) -> "DiffusionDenoiser | None":
        """The denoiser, or None. Importing diffusers takes seconds, so it is only imported if there is a denoiser."""
        if self.denoiser is None:
            return None
        from segcert.networks.denoiser import DiffusionDenoiser

        return DiffusionDenoiser.load(self.denoiser, self.denoising_steps)

    @functools.cached_property
    def digests(self) -> dict[str, str | None]:
        """The SHA-256 digest of each network."""
        return {
            "segmenter": segmenter_digest(self.segmenter),
            "denoiser": denoiser_digest(self.denoiser, self.denoising_steps),
        }

    @property
    def _target(self) -> str:
        """The factory that builds the segmenter, as `package.module:factory`, or "" for other networks."""
        architecture: str = self.config.get("architecture", "")
        return architecture if ":" in architecture else ""

    @functools.cached_property
    def code(self) -> str:
        """Digest of the segcert code that computes a draw, for draws that are made outside the workflow."""
        loaded = modules_of(self.config.get("architecture", ""))
        loaded += [DENOISING] if self.denoiser is not None else []
        first, *others = [SCRIPTS / module for module in (*DRAWING, *loaded)]
        return code_digest(first, *others, root=SCRIPTS)

    @functools.cached_property
    def packages(self) -> dict[str, str]:
        """Versions of the packages that the networks use in addition to torch and numpy."""
        used = target_packages(self._target) if self._target else {}
        return used | ({"diffusers": version_of("diffusers")} if self.denoiser is not None else {})

    def identity(self, code: str | None) -> dict[str, Any]:
        """Return the digests of both networks and of their code, which identify the function that is smoothed.

        `code` is the digest of segcert's code. For a user-supplied architecture, the digest of its code is added.
        """
        identity: dict[str, Any] = dict(self.digests)
        if code is not None:
            identity["code"] = code
        if self._target:
            identity["target"] = target_digest(self._target)
        return identity

    def smoothed_segmenter(self, sigma: float, *, code: str | None = None, **options: Any) -> SmoothedSegmenter:
        """Build a smoothed segmenter from both networks. `options` are passed to `SmoothedSegmenter`."""
        return SmoothedSegmenter(
            self.model,
            sigma,
            len(self.config["classes"]),
            self.denoise,
            identity=self.identity(code),
            packages=self.packages,
            **options,
        )


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Settings for sampling the votes of test images: the parameters of the rule `sample`.

    `measurements` contains only measurements that can be computed on the data set. `code` is the digest of the sampling
    code, which is part of the key of each stored block. `options` are passed to `SmoothedSegmenter`, for example
    `noise`, `pool`, `seed` and `batch_size`.
    """

    pairing: Pairing
    sigma: float
    n0: int
    n: int
    measurements: Sequence[str]
    keep_draws: bool
    code: str
    options: Mapping[str, Any]

    @classmethod
    def from_params(cls, params: Mapping[str, Any], sigma: float, root: Path = Path()) -> Self:
        """Create an instance from the parameters of a job, in which paths are relative to `root`."""
        denoiser = params["denoiser"] and root / params["denoiser"]
        pairing = Pairing(root / params["segmenter"], denoiser, params["denoising_steps"])
        settings = params["settings"]
        options = {"compiled": settings["compile"]}
        options |= {name: settings[name] for name in ("batch_size", "block_size", "precision")}
        options |= {name: params[name] for name in ("noise", "pool", "seed")}
        same = {name: params[name] for name in ("n0", "n", "measurements", "keep_draws")}
        return cls(pairing, sigma, **same, code=params["drawing_code"], options=options)

    def smoothed_segmenter(
        self, dataset: PreparedDataset, device: torch.device, store: BlockStore | None = None
    ) -> SmoothedSegmenter:
        """Build the smoothed segmenter for the images of a data set."""
        return self.pairing.smoothed_segmenter(
            self.sigma, code=self.code, bits=dataset.about["bits"], device=device, store=store, **self.options
        )

    def start(self, smoothed: SmoothedSegmenter, dataset: PreparedDataset, name: str) -> Callable[[], Votes]:
        """Start drawing the votes of the image `name`. Return a function that waits for the votes and returns them."""
        return smoothed.start(dataset.image(name), self.n0, self.n, **self.observed(dataset, name))

    def observed(self, dataset: PreparedDataset, name: str) -> dict[str, Any]:
        """Return the arguments of `SmoothedSegmenter.sample` that select the observables of the image `name`."""
        measurements = measurements_of(self.measurements, dataset.about["classes"], *dataset.pixel_scale(name))
        return {"truth": dataset.mask(name), "measurements": measurements, "keep_draws": self.keep_draws}


def sample_shard(
    dataset: PreparedDataset,
    names: list[str],
    sampling: Sampling,
    output: str | Path,
    *,
    device: torch.device,
    store: BlockStore,
) -> None:
    """Draw the votes of the images `names` and write them to one file.

    If SIGTERM arrives, raises Interrupted after the current batch. All draws up to this point are in `store`.
    """
    smoothed = sampling.smoothed_segmenter(dataset, device, store)
    if sampling.pairing.denoise and names:
        seen = dataset.about["image_size"] // smoothed.pool
        for remark in sampling.pairing.denoise.remarks((seen, seen), sampling.sigma / smoothed.pool):
            log.warning("%s", remark)
    log.info("%d images, sigma %g, %d + %d draws each", len(names), sampling.sigma, sampling.n0, sampling.n)
    votes: dict[str, Votes] = {}
    with interrupted_between_steps():
        before: tuple[str, Callable[[], Votes]] | None = None
        for name in track(names, f"sampling sigma {sampling.sigma:g}"):
            started = sampling.start(smoothed, dataset, name)
            if before:  # a GPU evaluates this image while the last labels of the previous image are counted
                votes[before[0]] = before[1]()
            before = name, started
        if before:
            votes[before[0]] = before[1]()
    save_votes(output, votes)
    if sampling.keep_draws and names:
        size = Path(output).stat().st_size / len(names)
        log.info("%.0f bytes per image, including the label maps of all draws", size)
