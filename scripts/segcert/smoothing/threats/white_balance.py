"""White balance: a gain for each colour channel."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
from torch import Tensor

from segcert.smoothing.threats.family import Family, as_factors, gains_in_words

CHANNELS = 3


@dataclasses.dataclass(frozen=True)
class WhiteBalance(Family):
    """White balance, T_a(x) = exp(a_c) x in channel c: the parameters are the logarithms of three gains.

    The family assumes a colour image of three channels whose values are proportional to the detected light, and that
    black is 0. Equal gains are a change of exposure, so the family contains exposure.
    """

    name = "white_balance"
    size = CHANNELS

    def transform(self, x: Tensor, parameters: Tensor) -> Tensor:
        return x * as_factors(parameters)

    def in_words(self, radius: float) -> str:
        together = gains_in_words(radius / math.sqrt(CHANNELS))
        return f"one channel {gains_in_words(radius)}, or each of the three channels {together}"

    def refusal(self, image: npt.NDArray[np.float32]) -> str | None:
        channels = len(image)
        return None if channels == CHANNELS else f"found an image of {channels} channels; expected {CHANNELS} (colour)"

    def ends(self, image: Tensor, radius: float) -> Tensor:
        """Return the image of the largest gain of each value. The three channels do not reach it at once."""
        return (image * math.exp(radius))[None]
