"""Contrast: one gain for all distances from a fixed gray."""

import dataclasses

from torch import Tensor

from segcert.smoothing.noise import SamplingError
from segcert.smoothing.threats.family import Family, as_factors, gains_in_words


@dataclasses.dataclass(frozen=True)
class Contrast(Family):
    """Contrast, T_a(x) = gray + exp(a) (x - gray): the parameter is the logarithm of the gain.

    The family assumes that `gray`, in [0, 1], stays as it is in every change. It is fixed beforehand: about the mean of
    the image, which a change moves, gains would not multiply. Raises SamplingError if `gray` is outside [0, 1].
    """

    gray: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.gray <= 1:
            raise SamplingError(f"gray: found {self.gray}; expected a value from 0 (black) to 1 (white)")

    @property
    def name(self) -> str:
        return f"contrast about {self.gray}"

    def transform(self, x: Tensor, parameters: Tensor) -> Tensor:
        return (x - self.gray) * as_factors(parameters) + self.gray

    def in_words(self, radius: float) -> str:
        return f"contrast {gains_in_words(radius)} about {255 * self.gray:g} of 255 gray levels"
