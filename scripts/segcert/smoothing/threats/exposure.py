"""Exposure: one gain for all values of an image."""

import dataclasses

from torch import Tensor

from segcert.smoothing.threats.family import Family, as_factors, gains_in_words


@dataclasses.dataclass(frozen=True)
class Exposure(Family):
    """Exposure, T_a(x) = exp(a) x: the parameter is the logarithm of the gain.

    The family assumes that values are proportional to the detected light or dose, and that black is 0. Gains multiply,
    so their logarithms add up.
    """

    name = "exposure"

    def transform(self, x: Tensor, parameters: Tensor) -> Tensor:
        return x * as_factors(parameters)

    def in_words(self, radius: float) -> str:
        return f"exposure {gains_in_words(radius)}"
