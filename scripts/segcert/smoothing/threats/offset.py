"""Offset: the same amount added to all values of an image."""

import dataclasses
import math

from torch import Tensor

from segcert.smoothing.threats.family import Family


@dataclasses.dataclass(frozen=True)
class Offset(Family):
    """Offset, T_a(x) = x + a: the parameter is the amount, for pixel values in [0, 1].

    The family assumes that brightness changes by the same amount everywhere, in all channels.
    """

    name = "offset"

    def transform(self, x: Tensor, parameters: Tensor) -> Tensor:
        return x + parameters[:, :, None, None]

    def in_words(self, radius: float) -> str:
        return f"+-{math.floor(2550 * radius + 1e-6) / 10:g} gray levels everywhere"
