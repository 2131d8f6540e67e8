"""Keyed noise: draw k of an image depends only on the seed, the image, the stream (such as "selection") and k."""

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segcert.provenance.digests import array_digest
from segcert.smoothing.exact_noise import is_sum_exact, largest_scale, rounded_gaussian_
from segcert.votes import PIXELS


class SamplingError(ValueError):
    """Error for an image, model or setting that cannot be used for sampling."""


Stream = Literal["selection", "estimation", "attack", "test"]
Draw = tuple[Stream, int]
KINDS = ("normal", "exact")
ON_GRID = 1e-2  # largest distance from the grid, in grid steps: float32 rounding of k / 65535 needs 0.004


class KeyedNoise(Protocol):
    """The noise of a smoothed segmenter: `Noise` on pixels, or noise on the parameter of another threat."""

    @property
    def sigma(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def threat(self) -> str: ...
    @property
    def settings(self) -> dict[str, Any]: ...
    def check(self, image: npt.NDArray[np.float32]) -> None: ...
    def copies(self, image: Tensor, digest: str, draws: Sequence[Draw], batch_size: int) -> Tensor: ...


@dataclasses.dataclass(frozen=True)
class Noise:
    """The noise that is added to an image.

    Attributes
    ----------
    sigma
        Standard deviation, above 0, for pixel values in [0, 1]. "exact" has a largest sigma, such as 27.7 for 16 bits.
    seed
        Seed. The same seed, image and draw give the same standard normal numbers at every sigma.
    kind
        "normal": sigma times standard normal float32 numbers. "exact": normal noise rounded to the image's grid and
        drawn with integer arithmetic, so that the guarantee also holds in floating point (see
        segcert.smoothing.exact_noise).
    bits
        Bit depth of the image's grid, k / (2^bits - 1), used only by "exact": 1 to 16, such as 8, 12 or 16.

    Raises
    ------
    SamplingError
        If a value is out of range.
    """

    sigma: float
    seed: int = 0
    kind: str = "normal"
    bits: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.sigma < math.inf:
            raise SamplingError(
                f"sigma: found {self.sigma}; expected a noise level above 0 (pixel values are in [0, 1])"
            )
        if self.kind not in KINDS:
            raise SamplingError(f"noise: found {self.kind!r}; expected one of {', '.join(KINDS)}")
        if not 1 <= self.bits <= 16:
            raise SamplingError(f"bits: found {self.bits}; expected 1 to 16, such as 8, 12 or 16")
        if self.kind == "exact" and not is_sum_exact(self.sigma * self.levels, self.levels):
            largest = math.floor(100 * largest_scale(self.levels) / self.levels) / 100
            raise SamplingError(
                f"sigma: found {self.sigma:g} with `exact` noise on the grid of {self.bits}-bit images (`bits`); "
                f"expected at most {largest}, because float32 sums of larger noise and the image are not exact. Use "
                "a smaller sigma, or `normal` noise"
            )

    @property
    def threat(self) -> str:
        """Name of the threat that this noise certifies against."""
        return PIXELS

    @property
    def settings(self) -> dict[str, Any]:
        """Entries of a draw's key about the noise, besides sigma and the seed."""
        return {"noise": self.kind if self.kind == "normal" else f"{self.kind}, {self.bits} bits"}

    @property
    def levels(self) -> int:
        """Number of steps of the image's grid between 0 and 1."""
        return (1 << self.bits) - 1

    def check(self, image: npt.NDArray[np.float32]) -> None:
        """Raise SamplingError if the noise is exact and the image has a value that is not on its grid."""
        if self.kind == "exact":
            steps = image.astype(np.float64) * self.levels
            if np.abs(steps - np.rint(steps)).max() > ON_GRID:
                raise SamplingError(
                    f"image: found values that are not multiples of 1/{self.levels}; `exact` noise needs an image "
                    f"with {self.bits}-bit values. Round the image, or set `bits` to its bit depth"
                )

    def copies(self, image: Tensor, digest: str, draws: Sequence[Draw], batch_size: int) -> Tensor:
        """Make noisy copies of an image of shape (C, H, W), on the image's device.

        The copies have shape (batch_size, C, H, W). Copy i has the noise of draw i. If there are fewer draws than
        copies, the last copies repeat the first. (Without noise, a network that divides by a standard deviation could
        return NaN.) For "exact", all arithmetic before the last division is on integers.
        """
        noise = self._noise(image, digest, draws, batch_size)
        if self.kind == "exact":
            return noise.add_(image.mul(self.levels).round_()).div_(self.levels)
        return noise.mul_(self.sigma).add_(image)

    def perturbed(self, image: Tensor, digest: str, draws: Sequence[Draw]) -> Tensor:
        """Make differentiable noisy copies, shape (draws, C, H, W), for attacks. The image need not be on its grid."""
        scale = 1 / self.levels if self.kind == "exact" else self.sigma
        return image + scale * self._noise(image.detach(), digest, draws, len(draws))

    def _noise(self, image: Tensor, digest: str, draws: Sequence[Draw], batch_size: int) -> Tensor:
        """Draw noise, shape (batch_size, C, H, W): normal numbers, or for "exact", whole numbers of grid steps."""
        noise = torch.empty((batch_size, *image.shape), device=image.device)
        for row, (stream, k) in zip(noise, draws, strict=False):
            key = draw_key(self.seed, digest, stream, k)
            if self.kind == "exact":
                rounded_gaussian_(row, self.sigma * self.levels, key)
            else:
                standard_normal_(row, key)
        noise[len(draws) :] = noise[:1]
        return noise


def checked_image(image: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return the image as contiguous float32 of shape (C, H, W). Raises SamplingError for a wrong shape or range."""
    pixels = np.ascontiguousarray(image, dtype=np.float32)
    if pixels.ndim != 3 or not pixels.size:
        raise SamplingError(f"image: found shape {pixels.shape}; expected (C, H, W)")
    if not np.isfinite(pixels).all():
        raise SamplingError("image: found values that are not finite; expected values in [0, 1]")
    if pixels.min() < 0 or pixels.max() > 1:
        raise SamplingError(
            f"image: found values from {pixels.min():g} to {pixels.max():g}; expected [0, 1]. Divide 8-bit values by "
            "255"
        )
    return pixels


def image_digest(image: npt.NDArray[np.float32]) -> str:
    """SHA-256 of a float32 image of shape (C, H, W)."""
    return array_digest(image)


def draw_key(seed: int, digest: str, stream: Stream, k: int) -> bytes:
    """Return the 16-byte key of draw k of a stream, such as "selection", for the image with the given digest."""
    return hashlib.sha256(f"segcert-noise-1 {seed} {digest} {stream} {k}".encode()).digest()[:16]


def standard_normal_(out: Tensor, key: bytes) -> Tensor:
    """Fill `out` (contiguous float32, on any device) with the standard normal numbers that a key determines.

    On a CPU, numpy's Philox generator uses the complete 128-bit key. torch seeds its CPU generator with only 32 bits,
    with which two of 65,000 draws could easily be identical. On a GPU, torch's Philox generator uses the first 63 bits
    of the key. The same key gives different numbers on a CPU and on a GPU.
    """
    if out.device.type == "cpu":
        generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "big")))
        generator.standard_normal(dtype=np.float32, out=out.numpy())
        return out
    seed = int.from_bytes(key[:8], "big") >> 1
    return out.normal_(generator=torch.Generator(out.device).manual_seed(seed))
