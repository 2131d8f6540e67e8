"""Field: a gain that varies smoothly over the image."""

import dataclasses
import math

import torch
from torch import Tensor

from segcert.smoothing.noise import SamplingError
from segcert.smoothing.threats.family import Family

# Half-waves down and across the image, from the smoothest term, a constant, on
HALF_WAVES = ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2), (0, 3))


@dataclasses.dataclass(frozen=True)
class Field(Family):
    """Smooth gain, T_a(x) = exp(g_a) x, where g_a is a sum of `terms` smooth terms: shading, or a bias field.

    The parameter has one coefficient per term: g_a = sum_j a_j c_j / sqrt(terms), where c_j is the product of a cosine
    down the image and a cosine across it, with up to three half-waves. The first term is constant. Because |c_j| <= 1,
    the l2 norm of the c_j at a pixel is at most sqrt(terms). By the inequality of Cauchy and Schwarz, |g_a| is
    therefore at most the l2 norm of a, at every pixel: the radius bounds the logarithm of the local gain. The converse
    is false: a smooth field within this bound can have coefficients of a larger norm, which are not covered.

    The family assumes that values are proportional to the detected signal, and that black is 0. `terms` is 1 to 10.
    Raises SamplingError for another number.
    """

    terms: int = 5

    def __post_init__(self) -> None:
        if self.terms not in range(1, len(HALF_WAVES) + 1):
            raise SamplingError(f"terms: found {self.terms}; expected 1 to {len(HALF_WAVES)} smooth terms")

    @property
    def size(self) -> int:
        return self.terms

    @property
    def name(self) -> str:
        return f"field of {self.terms} terms"

    def transform(self, x: Tensor, parameters: Tensor) -> Tensor:
        log_gain = torch.zeros_like(x[:, 0])  # (B, H, W)
        for coefficient, term in zip(parameters.T, self._basis(x), strict=True):  # in this order for every batch size
            log_gain = log_gain + coefficient[:, None, None] * term
        return x * log_gain.exp()[:, None]

    def in_words(self, radius: float) -> str:
        percent = math.ceil(100 * math.expm1(radius) - 1e-6)
        norm = math.floor(1e4 * radius + 1e-6) / 1e4
        return f"smooth gain of {self.terms} terms, l2 norm up to {norm:g}: local gain within {percent}% everywhere"

    def ends(self, image: Tensor, radius: float) -> Tensor:
        """Return the image in which each value has its largest gain, which no single field gives to all values."""
        largest = radius * self._basis(image).square().sum(dim=0).sqrt()  # (H, W)
        return (image * largest.exp())[None]

    def _basis(self, x: Tensor) -> Tensor:
        """Compute the terms, shape (terms, H, W), divided by the square root of their number."""
        height, width = x.shape[-2:]
        rows, columns = (
            (torch.arange(side, dtype=x.dtype, device=x.device) + 0.5) * (math.pi / side) for side in (height, width)
        )
        terms = [
            torch.outer((down * rows).cos(), (across * columns).cos()) for down, across in HALF_WAVES[: self.terms]
        ]
        return torch.stack(terms) / math.sqrt(self.terms)
