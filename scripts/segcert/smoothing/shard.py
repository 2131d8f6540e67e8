"""Sampling of one shard: one job draws the votes of a group of test images."""

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
# Modules through which every draw passes, besides those of its networks
DRAWING = ("segcert/smoothing/sampler.py", "segcert/networks/registry.py", "segcert/networks/replicated.py")
DENOISING = "segcert/networks/denoiser.py"


@dataclasses.dataclass(frozen=True)
class Pairing:
    """A segmenter and an optional denoiser, given by their folders.

    The denoiser is called `denoising_steps` times per noisy copy. The networks are loaded at first use. Loading raises
    ModelError for a folder that cannot be used.
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
        """Content of the segmenter's config.json."""
        return self._loaded[1]

    @functools.cached_property
    def denoise(self) -> "DiffusionDenoiser | None":
        """The denoiser, or None. Importing diffusers takes seconds, so it is imported only if there is a denoiser."""
        if self.denoiser is None:
            return None
        from segcert.networks.denoiser import DiffusionDenoiser

        return DiffusionDenoiser.load(self.denoiser, self.denoising_steps)

    @functools.cached_property
    def digests(self) -> dict[str, str | None]:
        """SHA-256 of each network."""
        return {
            "segmenter": segmenter_digest(self.segmenter),
            "denoiser": denoiser_digest(self.denoiser, self.denoising_steps),
        }

    @property
    def _target(self) -> str:
        """The `package.module:factory` from which the segmenter is built; "" for a built-in or exported network."""
        architecture: str = self.config.get("architecture", "")
        return architecture if ":" in architecture else ""

    @functools.cached_property
    def code(self) -> str:
        """Digest of segcert's code that a draw passes through, for draws that no rule of the workflow makes."""
        loaded = modules_of(self.config.get("architecture", ""))
        loaded += [DENOISING] if self.denoiser is not None else []
        first, *others = [SCRIPTS / module for module in (*DRAWING, *loaded)]
        return code_digest(first, *others, root=SCRIPTS)

    @functools.cached_property
    def packages(self) -> dict[str, str]:
        """Versions of the packages that the networks use, besides torch and numpy."""
        used = target_packages(self._target) if self._target else {}
        return used | ({"diffusers": version_of("diffusers")} if self.denoiser is not None else {})

    def identity(self, code: str | None) -> dict[str, Any]:
        """Return what identifies the function that is smoothed: digests of both networks and of their code.

        `code` is the digest of segcert's code. A user-supplied architecture adds the digest of its own code.
        """
        identity: dict[str, Any] = dict(self.digests)
        if code is not None:
            identity["code"] = code
        if self._target:
            identity["target"] = target_digest(self._target)
        return identity

    def smoothed_segmenter(self, sigma: float, *, code: str | None = None, **options: Any) -> SmoothedSegmenter:
        """Build a smoothed segmenter from both networks. `options` are further arguments for SmoothedSegmenter."""
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

    `measurements` contains only measurements that fit the data set. `code`, the digest of the sampling code, is part of
    each stored block's key. `options` are further arguments for SmoothedSegmenter, such as `noise`, `pool`, `seed` and
    `batch_size`.
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
        """Take the settings from the parameters of a job, in which paths are relative to `root`."""
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
        """Start drawing the votes of the image `name`; return a function that waits for the votes and returns them."""
        return smoothed.start(dataset.image(name), self.n0, self.n, **self.observed(dataset, name))

    def observed(self, dataset: PreparedDataset, name: str) -> dict[str, Any]:
        """Return what is observed in each draw of the image `name`, as arguments of `SmoothedSegmenter.sample`."""
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

    Raises Interrupted after the batch during which SIGTERM arrives. All draws up to this point are in `store`.
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
            if before:  # a GPU works on this image while the last labels of the previous one are counted
                votes[before[0]] = before[1]()
            before = name, started
        if before:
            votes[before[0]] = before[1]()
    save_votes(output, votes)
    if sampling.keep_draws and names:
        size = Path(output).stat().st_size / len(names)
        log.info("%.0f bytes per image, including the label maps of all draws", size)
