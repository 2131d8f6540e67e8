"""Saturation: the values that a change moves out of the range of pixel values, where a file would clip them."""

import numpy.typing as npt
import torch

from segcert.smoothing.noise import checked_image
from segcert.smoothing.threats.family import Family


def saturating_share(image: npt.ArrayLike, family: Family, radius: float) -> float:
    """Return the largest share of values that a covered change moves out of [0, 1].

    A certificate is about changes before clipping. Where this share is 0, clipping changes nothing within the radius.

    For families of one parameter, the share is exact: each value moves in one direction as the parameter grows, so the
    share is largest at -radius or at radius. For `field` and `white_balance`, each value gets its largest gain within
    the radius, so the share is an upper bound.

    Parameters
    ----------
    image
        Image of shape (C, H, W), float32 in [0, 1].
    family
        The family of changes.
    radius
        l2 norm of the parameter.

    Raises
    ------
    SamplingError
        If the image has a wrong shape or range, or if a user's family of several parameters has no method `ends`.

    Examples
    --------
    >>> import numpy as np, segcert
    >>> image = np.array([[[0.2, 0.7, 0.85, 0.9]]], np.float32)
    >>> segcert.saturating_share(image, segcert.load_family("exposure"), radius=0.2)  # up to x1.22
    0.5
    """
    ends = family.ends(torch.from_numpy(checked_image(image)), radius)
    return float(((ends < 0) | (ends > 1)).flatten(1).double().mean(dim=1).max())
