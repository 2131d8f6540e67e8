"""Certified radius of each pixel, with a guarantee that holds simultaneously for all values of tau on a grid."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from segcert.certification.certificate import ABSTAIN, certified_radius, check_votes, chosen_class, tested_draws
from segcert.certification.methods import METHODS, CertificationError, check_settings
from segcert.certification.multiple_testing import holm_threshold, p_value_table
from segcert.votes import PIXELS, Votes

WRONG_CLASS = 0.01  # share of alpha that is reserved for wrong classes
TAUS = (0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclasses.dataclass(frozen=True)
class RadiusMap:
    """The certified radius of each pixel of an image.

    With probability at least 1 - alpha over the draws, all pixels are correct simultaneously: the smoothed model gives
    a pixel its label under every perturbation of the image with an l2 norm below the pixel's radius.

    Attributes
    ----------
    labels
        Array of shape (H, W), uint8: class ids, and ABSTAIN = 255 where nothing is certified.
    radius
        Array of shape (H, W), float64: the l2 radius of each pixel, for pixel values in [0, 1] or, for another threat,
        in its parameter; 0 where nothing is certified.
    taus
        Grid of values of tau.
    alpha
        Error rate of the complete map, for all pixels and all values of tau together.
    method
        Name of the statistical method (see `radius_map`).
    threat
        Name of the threat: "pixels", or a family of changes.
    """

    labels: npt.NDArray[np.uint8]
    radius: npt.NDArray[np.float64]
    taus: tuple[float, ...]
    alpha: float
    method: str
    threat: str = PIXELS


def radius_map(
    votes: Votes, taus: Sequence[float] = TAUS, alpha: float = 0.001, method: str = "segcertify"
) -> RadiusMap:
    """Certify each pixel at the largest tau that its votes allow, with one alpha for all pixels and values of tau.

    The number of values in the grid `taus` does not affect the error probability, because the hypotheses of a pixel are
    nested. If p is the probability of the pixel's class, then p <= tau is true for every tau on the grid from some tau*
    upwards. Let the threshold at each tau be the least count c with P(Bin(n, tau) >= c) <= a. Thresholds rise with tau,
    so the pixel's radius is too large only if its count reaches the threshold at tau*. The probability of this error is
    at most a.

    First, Holm's procedure at the largest tau rejects r of K pixels. Unless one of these rejections is an error, all
    hypotheses of the r pixels are false, so a = alpha / (K - r) is small enough. With "holm", the same draws choose and
    test the class, so a hundredth of alpha is reserved for wrong classes. In this case, all thresholds are at least the
    smallest c with K P(Bin(n, 1 - tau_min) >= c) <= alpha / 100, where tau_min is the smallest tau.

    Parameters
    ----------
    votes
        Votes of the image.
    taus
        Grid of increasing values of tau, in (0.5, 1).
    alpha
        Family-wise error rate over the complete map, in (0, 0.5).
    method
        "segcertify" or "holm".

    Raises
    ------
    CertificationError
        If a setting is out of range, or if no pixel can be certified at the smallest tau.

    Examples
    --------
    >>> import numpy as np, segcert

    >>> counts = np.array([[[100, 90, 60]], [[0, 10, 40]]])  # 2 classes, 1 x 3 pixels, n = 100
    >>> votes = segcert.Votes.from_counts(counts // 10, counts, sigma=1.0)

    >>> segcert.radius_map(votes, taus=[0.6, 0.75, 0.9], alpha=0.05).radius.round(2)
    array([[1.28, 0.67, 0.  ]])
    """
    check_radius_map(method)
    if not taus or any(low >= high for low, high in itertools.pairwise(taus)):
        raise CertificationError(f"taus: found {list(taus)}; expected increasing values, for example [0.6, 0.75, 0.9]")
    for tau in taus:
        check_settings(tau, alpha, method)
    budget = map_budget(alpha, method)
    check_votes(votes, taus[0], budget, method)
    chosen, counts = chosen_class(votes, method)
    n = tested_draws(votes, method)
    histogram = np.bincount(counts.ravel(), minlength=n + 1)
    floor = _wrong_class_floor(n, taus[0], WRONG_CLASS * alpha / counts.size) if METHODS[method].all_draws else 0
    threshold = max(floor, holm_threshold(histogram, p_value_table(n, taus[-1]), budget))
    level = budget / max(1, int(histogram[:threshold].sum()))
    radius = np.zeros(counts.shape)
    for tau in taus:
        threshold = max(floor, int(np.argmax(np.append(p_value_table(n, tau), 0.0) <= level)))
        radius[counts >= threshold] = certified_radius(votes.sigma, tau)
    labels = np.where(radius > 0, chosen, ABSTAIN).astype(np.uint8)
    return RadiusMap(labels, radius, tuple(taus), alpha, method, votes.threat)


def map_budget(alpha: float, method: str) -> float:
    """Return the part of alpha that is not reserved for wrong classes, and that bounds errors in the radius."""
    return (1 - WRONG_CLASS) * alpha if METHODS[method].all_draws else alpha


def check_radius_map(method: str) -> None:
    """Raise CertificationError if the method cannot certify a radius map."""
    if method not in METHODS or METHODS[method].weaker:
        raise CertificationError(
            f"method: found {method!r}; expected `segcertify` or `holm`, because a radius map requires one of these "
            "methods"
        )


def _wrong_class_floor(n: int, tau: float, level: float) -> int:
    """Return the least count c that wrong classes reach with probability at most `level`.

    The proof is in `selection_free_threshold`.
    """
    convex = np.arange(n + 2) - 1 >= tau * (n - 1)
    return int(np.argmax(convex & (np.append(p_value_table(n, 1 - tau), 0.0) <= level)))
