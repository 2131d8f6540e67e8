"""A case: an image, networks and settings, as the command gives them and a certificate records them."""

import dataclasses
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

import segcert
from segcert.data.raster import Raster
from segcert.data.user_data import read_own_image
from segcert.networks.folders import CONFIG, ModelError
from segcert.networks.registry import input_channels
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.smoothing.shard import Pairing
from segcert.smoothing.store import BlockStore


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How votes are drawn: what a certificate records so that they can be drawn again."""

    sigma: float
    n0: int = 10
    n: int = 100
    seed: int = 0
    batch_size: int = 10
    precision: str = "float32"
    noise: str = "normal"


class Networks(Pairing):
    """The networks in their folders, for images in files."""

    @classmethod
    def load(cls, segmenter: str | Path, denoiser: str | Path | None, denoising_steps: int = 1) -> Self:
        """Read the segmenter's folder. Raises ModelError."""
        networks = cls(Path(segmenter), Path(denoiser) if denoiser else None, denoising_steps)
        if lacking := {"classes", "image_size"} - networks.config.keys():
            raise ModelError(f"{Path(segmenter, CONFIG)}: lacks {min(lacking)}; train it again")
        return networks

    def read_image(
        self,
        path: str | Path,
        size: int | None = None,
        pixel_size: tuple[float, float] | None = None,
        bits: int | None = None,
    ) -> Raster:
        """The image as the segmenter takes it: its channels, at (size, size) pixels; by default as it was trained.

        `pixel_size` (height and width in mm) is that of the file's pixels, and goes before what the file says.
        """
        channels = input_channels(self.config)
        image = read_own_image(path, bits)
        if pixel_size:
            image = dataclasses.replace(image, pixel_size=pixel_size)
        if not (channels == 3 and len(image.pixels) == 1):  # gray in front of a colour network: see `Replicated`
            image = image.with_channels(channels)
        return image.resized(size or self.config["image_size"])

    def smoothed(
        self, image: Raster, sampling: Sampling, device: torch.device, store: BlockStore | None = None
    ) -> SmoothedSegmenter:
        """The smoothed segmenter for an image."""
        wanted = input_channels(self.config)
        model = self.model if len(image.pixels) == wanted else Replicated(self.model, wanted).eval()
        return SmoothedSegmenter(
            model,
            sampling.sigma,
            len(self.config["classes"]),
            denoiser=self.denoise,
            batch_size=sampling.batch_size,
            seed=sampling.seed,
            device=device,
            precision=sampling.precision,
            noise=sampling.noise,
            pool=self.config.get("pool", 1),
            bits=image.bits,
            store=store,
            identity={**self.digests, "segcert": segcert.__version__},
        )


class Replicated(nn.Module):
    """A colour network for gray images: the noisy gray channel is replicated, so the noise keeps its level."""

    def __init__(self, model: nn.Module, channels: int) -> None:
        super().__init__()
        self.model, self.channels = model, channels

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x.expand(-1, self.channels, -1, -1))
        return logits
