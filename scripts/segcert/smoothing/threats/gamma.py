"""Gamma: one exponent for all values of an image."""

import dataclasses

import numpy as np
import numpy.typing as npt
from torch import Tensor

from segcert.smoothing.threats.family import Family, as_factors, factors_in_words


@dataclasses.dataclass(frozen=True)
class Gamma(Family):
    """Gamma, T_a(x) = x^exp(a): the parameter is the logarithm of the exponent.

    The family assumes values from 0 (black) to 1 (white), both of which stay as they are. Exponents multiply, so their
    logarithms add up.
    """

    name = "gamma"

    def transform(self, x: Tensor, parameters: Tensor) -> Tensor:
        return x ** as_factors(parameters)

    def in_words(self, radius: float) -> str:
        return f"gamma {factors_in_words(radius)}"

    def refusal(self, image: npt.NDArray[np.float32]) -> str | None:
        low, high = image.min(), image.max()
        inside = low >= 0 and high <= 1
        return None if inside else f"found values from {low:g} to {high:g}; a power needs values in [0, 1]"
