"""The image, the networks and the settings of a certificate, from the command line or from a certificate file."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F

from segcert.data.errors import DataError
from segcert.data.identifiers import withheld
from segcert.data.lossy import is_lossy
from segcert.data.raster import Raster
from segcert.data.user_data import read_own_image
from segcert.networks.folders import CONFIG, ModelError, preprocessing_of
from segcert.networks.registry import input_channels
from segcert.networks.replicated import Replicated
from segcert.smoothing.noise import Noise
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.smoothing.shard import Pairing
from segcert.smoothing.store import BlockStore


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Settings of the draws. They are recorded in the certificate, so that the draws can be repeated."""

    sigma: float
    n0: int = 10
    n: int = 100
    seed: int = 0
    batch_size: int = 10
    precision: str = "float32"
    noise: str = "normal"


@dataclasses.dataclass(frozen=True)
class Reading:
    """Requested settings for reading an image file. If a setting is None, the file or the segmenter determines it.

    `pixel_size` is the height and width of a pixel, in mm, in the image as displayed and before resizing.
    """

    bits: int | None = None
    window: tuple[float, float] | None = None
    frame: int | None = None
    pixel_size: tuple[float, float] | None = None


CHANNELS = (1, 3)
AS_STATED = Reading()  # all settings are taken from the file and from the segmenter


class Networks(Pairing):
    """A segmenter and an optional denoiser, which are loaded from folders and applied to image files."""

    @classmethod
    def load(cls, segmenter: str | Path, denoiser: str | Path | None, denoising_steps: int = 1) -> Self:
        """Load the networks from two folders.

        Raises ModelError if a network cannot be used, or if a key is missing in the segmenter's config.json.
        """
        networks = cls(Path(segmenter), Path(denoiser) if denoiser else None, denoising_steps)
        if lacking := {"classes", "image_size"} - networks.config.keys():
            raise ModelError(f"{Path(segmenter, CONFIG)}: `{min(lacking)}` is missing; train the segmenter again")
        _ = networks.denoise  # load the denoiser now, to report errors before images are read
        return networks

    def read_image(self, path: str | Path, size: int | None = None, reading: Reading = AS_STATED) -> Raster:
        """Read an image file, and convert it to the window, aspect ratio, channels and size of the training images.

        If `size` is given, it is used instead of the height and width of the training images.
        """
        channels, trained = input_channels(self.config), preprocessing_of(self.config)
        window = self.window(reading)
        image = read_own_image(path, reading.bits, window, reading.frame, trained.bits)
        if channels not in CHANNELS:
            raise ModelError(f"{CONFIG}: `in_channels`: found {channels}; expected 1 (gray) or 3 (RGB)")
        image, shown = image.with_pixel_size(reading.pixel_size), withheld(str(path), Path(path))
        if channels == 1:  # `Replicated` handles a gray image with a colour network
            try:
                image = image.with_channels(1)
            except DataError as error:
                raise DataError(
                    f"{shown}: {error}, and {self.segmenter} takes gray images. Convert the file to gray, or use a "
                    "segmenter that was trained on colour images"
                ) from error
        try:
            if trained.keep_aspect:
                image = image.padded()
        except DataError as error:
            raise DataError(f"{shown}: {error}") from error
        return image.resized(size or self.config["image_size"])

    def remark_on_compression(self, image: Raster) -> list[str]:
        """Return a remark if the image was compressed lossily and the training images are not known to be lossy.

        If the training images were lossy, the segmenter's config.json contains `"preprocessing": {"lossy": true}`.
        """
        if not is_lossy(image.applied) or preprocessing_of(self.config).lossy:
            return []
        return [
            "the file was compressed with loss, and the segmenter does not state that its training images were: labels "
            "may differ from those of the original image"
        ]

    def window(self, reading: Reading) -> tuple[float, float] | None:
        """Return the requested window or, by default, that of the training images; None for the window in the file."""
        trained = preprocessing_of(self.config).window
        return reading.window or (None if trained is None else (trained[0], trained[1]))

    def require_fit(self, image: Raster, sampling: Sampling) -> None:
        """Raise an error, before any noise is drawn, if the noise or the denoiser is unsuitable for the image.

        The error is a SamplingError for the noise, and a ModelError for the denoiser.
        """
        Noise(sampling.sigma, sampling.seed, sampling.noise, image.bits).check(image.unit())
        if self.denoise:
            self.denoise.require_fit((len(image.pixels), *self._seen(image)), sampling.sigma / self._pool)

    @torch.inference_mode()
    def remarks(self, image: Raster, sampling: Sampling, device: torch.device) -> list[str]:
        """Return remarks on a denoiser that was not trained for this image and sigma, or that makes the image worse.

        A denoiser makes images worse if its files do not match its training, for example if they contain a wrong
        prediction target.
        """
        if self.denoise is None:
            return []
        sigma = sampling.sigma / self._pool
        remarks = self.denoise.remarks(self._seen(image), sigma)
        x = torch.from_numpy(image.unit())[None]
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
        clean, x_noisy = (F.avg_pool2d(each, self._pool) for each in (x, x + sampling.sigma * noise))
        denoised = self.denoise.to(device)(x_noisy.to(device), sigma).cpu()
        before, after = (float((each - clean).square().mean().sqrt()) for each in (x_noisy.clamp(0, 1), denoised))
        if not after < before:
            remarks.append(
                f"the denoised image is further from the image (RMS {after:.2g}) than the noisy image is ({before:.2g})"
            )
        return remarks

    @property
    def _pool(self) -> int:
        pool: int = self.config.get("pool", 1)
        return pool

    def _seen(self, image: Raster) -> tuple[int, int]:
        """Return the height and width of the networks' input for an image."""
        height, width = image.pixels.shape[1:]
        return height // self._pool, width // self._pool

    def smoothed(
        self, image: Raster, sampling: Sampling, device: torch.device, store: BlockStore | None = None
    ) -> SmoothedSegmenter:
        """Return the smoothed segmenter for an image."""
        wanted = input_channels(self.config)
        model = self.model if len(image.pixels) == wanted else Replicated(self.model, wanted).eval()
        smoothed = SmoothedSegmenter(
            model,
            sampling.sigma,
            len(self.config["classes"]),
            denoiser=self.denoise,
            batch_size=sampling.batch_size,
            seed=sampling.seed,
            device=device,
            precision=sampling.precision,
            noise=sampling.noise,
            pool=self._pool,
            bits=image.bits,
            store=store,
            identity=self.identity(self.code),
            packages=self.packages,
        )
        smoothed.probed = self._probed
        return smoothed

    @functools.cached_property
    def _probed(self) -> set[Any]:
        """The set `SmoothedSegmenter.probed`, shared by all images, so that a command tests its networks only once."""
        return set()
