"""Keyed noise on the parameter of a family of changes."""

import dataclasses
import functools
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segcert.measurements import code_of
from segcert.provenance.code import code_digest
from segcert.smoothing.noise import Draw, SamplingError, standard_normal_
from segcert.smoothing.threats.composition import require_composition
from segcert.smoothing.threats.family import FAMILIES, Family, load_family
from segcert.votes import PIXELS

SCRIPTS = Path(__file__).parents[3]
LARGEST_SIGMA = 3.0  # of the logarithm of a gain: copies of an image are then up to 10,000 times as bright


@dataclasses.dataclass(frozen=True)
class ParameterNoise:
    """The noise on the parameter of a family: a noisy copy is the image, changed by a random parameter.

    Copies are not clipped. Draw k of an image depends only on the seed, the image, the family, the stream and k, and
    not on the device. No other family, nor pixel noise, has the same numbers.

    Attributes
    ----------
    family
        The family of changes.
    sigma
        Standard deviation of each number of the parameter, above 0 and at most 3. It is called the level of the threat.
    seed
        Seed. The same seed, image and draw give the same standard normal numbers at every level.

    Raises
    ------
    SamplingError
        If a value is out of range.
    """

    family: Family
    sigma: float
    seed: int = 0

    def __post_init__(self) -> None:
        if self.threat in (PIXELS, *FAMILIES) and not _is_built_in(self.family):
            raise SamplingError(f"threat: found your own family with the name {self.threat!r}; expected another name")
        if not 0 < self.sigma <= LARGEST_SIGMA:
            raise SamplingError(
                f"sigma: found {self.sigma}; expected a level of the threat {self.family.name} above 0 and at most "
                f"{LARGEST_SIGMA:g}"
            )

    @property
    def threat(self) -> str:
        """Name of the family, with its settings."""
        return self.family.name

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """Entries of a draw's key about the noise, besides its level and seed."""
        return {"noise": "normal", "threat": self.threat, "threat_code": self._code()}

    def check(self, image: npt.NDArray[np.float32]) -> None:
        """Raise SamplingError if the family does not fit the image, or if a user's family does not add up on it."""
        if refusal := self.family.refusal(image):
            raise SamplingError(f"threat {self.threat}: {refusal}")
        if not _is_built_in(self.family):
            require_composition(self.family, image, self.sigma)

    def copies(self, image: Tensor, digest: str, draws: Sequence[Draw], batch_size: int) -> Tensor:
        """Make changed copies of an image of shape (C, H, W), on the image's device.

        The copies have shape (batch_size, C, H, W). Copy i has the parameter of draw i. If there are fewer draws than
        copies, the last copies repeat the first.
        """
        parameters = self.parameters(digest, draws)
        parameters = torch.cat([parameters, parameters[:1].expand(batch_size - len(draws), -1)])
        return self.family.transform(image.expand(batch_size, *image.shape), parameters.to(image.device))

    def parameters(self, digest: str, draws: Sequence[Draw]) -> Tensor:
        """Draw the parameters, shape (draws, k), of the image with the given digest."""
        normal = torch.empty((len(draws), self.family.size))  # on the CPU: the same numbers for every device
        for row, (stream, k) in zip(normal, draws, strict=True):
            text = f"segcert-threat-1 {self.seed} {digest} {self.threat} {stream} {k}"
            standard_normal_(row, hashlib.sha256(text.encode()).digest()[:16])
        return self.sigma * normal

    def _code(self) -> str | None:
        """Return the digest of the code of the family and of its noise; None for code that is only in memory."""
        own = "" if _is_built_in(self.family) else _code_of_user(self.family)
        files = [sys.modules[type(self.family).__module__].__file__] if _is_built_in(self.family) else []
        return own if own is None else code_digest(__file__, *filter(None, files), root=SCRIPTS) + own


def parameter_noise(threat: str | Family, sigma: float, seed: int) -> ParameterNoise:
    """Return the noise of a family, which is given by name or as an object. Raises SamplingError as its parts do."""
    return ParameterNoise(load_family(threat), sigma, seed)


def _is_built_in(family: Family) -> bool:
    return type(family).__module__.startswith(f"{__package__}.")


def _code_of_user(family: Family) -> str | None:
    module = type(family).__module__
    return None if module == "__main__" else code_of(f"{module}:{type(family).__qualname__}")
