"""The test that the parameters of a family of changes add up, on which its certificates rest."""

import numpy.typing as npt
import torch

from segcert.smoothing.noise import SamplingError, checked_image
from segcert.smoothing.threats.family import Family

TOLERANCE = 1e-4  # of pixel values in [0, 1], or relative to larger ones: float32 rounding stays below it
TRIALS = 8


def require_composition(family: Family, image: npt.ArrayLike, sigma: float, seed: int = 0) -> None:
    """Raise SamplingError unless T_a(T_b(x)) = T_(a + b)(x) for random a and b, with standard deviation sigma.

    A sampler makes this test on each image before it draws the votes of a user's own family. Use it in the tests of a
    family. It can find that parameters do not add up; it cannot prove that they always do.

    Parameters
    ----------
    family
        The family of changes.
    image
        Image of shape (C, H, W), float32 in [0, 1].
    sigma
        Standard deviation of the parameters, above 0.
    seed
        Seed of the parameters.
    """
    if not isinstance(family.size, int) or family.size < 1:
        raise SamplingError(f"threat {family.name}: found {family.size} parameters; expected at least 1")
    x = torch.from_numpy(checked_image(image)).expand(TRIALS, -1, -1, -1)
    generator = torch.Generator().manual_seed(seed)
    a, b = sigma * torch.randn((2, TRIALS, family.size), generator=generator)
    twice, once = family.transform(family.transform(x, b), a), family.transform(x, a + b)
    if twice.shape != x.shape or once.shape != x.shape:
        raise SamplingError(
            f"threat {family.name}: turned images of shape {tuple(x.shape)} into {tuple(once.shape)}; expected the "
            "same shape"
        )
    error = ((twice - once).abs() / once.abs().clamp(min=1)).max()
    if not error <= TOLERANCE:  # also for values that are not numbers
        raise SamplingError(
            f"threat {family.name}: its parameters do not add up. T_a(T_b(x)) and T_(a + b)(x) differ by {error:.2g}; "
            f"expected at most {TOLERANCE:g}. Give the changes parameters that add up, such as logarithms of gains, "
            "and do not clip or round"
        )
