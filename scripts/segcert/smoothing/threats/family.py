"""A family of image changes whose parameters add up, and the names of the built-in families."""

import abc
import functools
import importlib
import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segcert.smoothing.noise import SamplingError

# A family is in the module of the same name, which is loaded by this name.
FAMILIES = {
    "exposure": "Exposure",
    "contrast": "Contrast",
    "offset": "Offset",
    "gamma": "Gamma",
    "field": "Field",
    "white_balance": "WhiteBalance",
}


class Family(abc.ABC):
    """A family of changes T_a of an image, such that T_a(T_b(x)) = T_(a + b)(x) for all parameters a and b.

    Because parameters add up, Gaussian noise on the parameter certifies every change of the family with a parameter of
    l2 norm below sigma * Phi^-1(tau) (Cohen et al., ICML 2019; Li et al., CCS 2021). This holds for the changed image
    as it is, before its values are clipped to [0, 1] or rounded.

    Write a subclass for your own family. Its `transform` must change each image of a batch by its own parameter,
    without random numbers, and must not look at the other images. `require_composition` tests that parameters add up.

    Attributes
    ----------
    size
        Number k of parameters, at least 1.
    """

    @property
    def size(self) -> int:
        return 1

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Name of the family with all its settings: families of one name share their noise and their stored votes."""

    @abc.abstractmethod
    def transform(self, x: Tensor, parameters: Tensor) -> Tensor:
        """Change images of shape (B, C, H, W), each by its own parameter: `parameters` has shape (B, k)."""

    @abc.abstractmethod
    def in_words(self, radius: float) -> str:
        """Describe in physical words the changes whose parameter has an l2 norm of up to `radius`."""

    def refusal(self, image: npt.NDArray[np.float32]) -> str | None:
        """Return the reason why the family does not fit an image of shape (C, H, W), or None if it fits."""
        return None

    def ends(self, image: Tensor, radius: float) -> Tensor:
        """Return images, shape (m, C, H, W), of which one has at least as many values outside [0, 1] as any change.

        The changes are those of an image (C, H, W) in [0, 1] whose parameter has an l2 norm of up to `radius`. With one
        parameter that moves each value in one direction, these images are the changes by -radius and by radius. A
        family of several parameters has its own bound, or raises SamplingError.
        """
        if self.size > 1:
            raise SamplingError(f"threat {self.name}: does not say how many values saturate. Write its method `ends`")
        parameters = torch.tensor([[-radius], [radius]], dtype=image.dtype, device=image.device)
        return self.transform(image.expand(2, *image.shape), parameters)


def load_family(threat: "str | Family") -> Family:
    """Return the family of changes with the given name.

    Parameters
    ----------
    threat
        "exposure", "contrast", "offset", "gamma", "field" or "white_balance"; or the name of your own family,
        `package.module:Family`, which is called without arguments. A `Family` is returned as it is.

    Raises
    ------
    SamplingError
        If there is no such family.

    Examples
    --------
    >>> import segcert
    >>> segcert.load_family("exposure").in_words(0.2)
    'exposure x0.82 to x1.22'
    """
    if isinstance(threat, Family):
        return threat
    expected = f"expected pixels, {', '.join(FAMILIES)}, a Family, or package.module:Family"
    if threat in FAMILIES:
        module, name = f"{__package__}.{threat}", FAMILIES[threat]
    elif isinstance(threat, str) and ":" in threat:
        module, _, name = threat.partition(":")
    else:
        raise SamplingError(f"threat: found {threat!r}; {expected}")
    try:
        family = functools.reduce(getattr, name.split("."), importlib.import_module(module))()  # type: ignore[operator]
    except SamplingError:
        raise
    except Exception as error:  # a user-supplied module can raise anything
        raise SamplingError(f"threat {threat!r}: cannot be imported and built ({error}); {expected}") from error
    if not isinstance(family, Family):
        raise SamplingError(f"threat {threat!r}: found a {type(family).__name__}; {expected}")
    return family


def factors_in_words(radius: float) -> str:
    """Describe the factors exp(a) with |a| up to `radius`, such as "0.80 to 1.25", rounded towards 1."""
    digits = 2 if radius >= 0.05 else 4
    low, high = (10**digits * math.exp(end) for end in (-radius, radius))
    return f"{math.ceil(low - 1e-6) / 10**digits:.{digits}f} to {math.floor(high + 1e-6) / 10**digits:.{digits}f}"


def gains_in_words(radius: float) -> str:
    """Describe the gains exp(a) with |a| up to `radius`, such as "x0.80 to x1.25", rounded towards 1."""
    return "x" + factors_in_words(radius).replace("to ", "to x")


def as_factors(parameters: Tensor) -> Tensor:
    """Return exp of parameters of shape (B, k) as factors of shape (B, k, 1, 1), for images of shape (B, C, H, W)."""
    return parameters.exp()[:, :, None, None]
