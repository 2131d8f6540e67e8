"""From votes to a certificate (SegCertify: Fischer et al., ICML 2021, algorithm 2)."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from segcert.certification.binomial import p_value_table
from segcert.certification.feasibility import CertificationError, require_feasible
from segcert.certification.multiple_testing import holm_threshold
from segcert.votes import Votes

ABSTAIN = 255
METHODS = ("segcertify",)


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What is certified of one image.

    With probability at least 1 - alpha over the draws, every pixel of `labels` that is not ABSTAIN keeps its
    label under every perturbation of the image with an l2 norm below `radius`.

    Attributes
    ----------
    labels
        (H, W) uint8: class ids, and ABSTAIN = 255 where nothing is certified.
    radius
        l2 radius, in units of pixels in [0, 1].
    sigma, tau, alpha, n0, n, method
        The settings behind it.
    """

    labels: npt.NDArray[np.uint8]
    radius: float
    sigma: float
    tau: float
    alpha: float
    n0: int
    n: int
    method: str

    @property
    def abstain(self) -> float:
        """Share of the pixels that abstain, in [0, 1]."""
        return float(np.mean(self.labels == ABSTAIN))


def certify(votes: Votes, tau: float = 0.75, alpha: float = 0.001, method: str = "segcertify") -> Certificate:
    """Decide each pixel of an image from its votes.

    The n0 selection draws choose each pixel's class c (the lower id in a tie). The n estimation draws test
    H: P(f(x + noise) = c) <= tau with the exact one-sided binomial test, and Holm's procedure over all pixels
    bounds the probability of any false rejection by alpha, whatever the dependence between pixels. A rejected
    pixel is certified with radius sigma * Phi^-1(tau); the others abstain.

    Parameters
    ----------
    votes
        The counts of the image.
    tau
        In (0.5, 1).
    alpha
        Family-wise error rate of the image, in (0, 0.5).
    method
        "segcertify".

    Raises CertificationError for settings out of range, and for settings with which no pixel could be
    certified whatever the votes (`smallest_n`).
    """
    check_settings(tau, alpha, method)
    require_feasible(votes.n, math.prod(votes.estimation.shape[1:]), tau, alpha)
    if votes.n0 < 1:
        raise CertificationError("votes: hold no selection draws; expected n0 >= 1")
    if votes.selection.shape[0] > ABSTAIN:
        raise CertificationError(
            f"votes: {votes.selection.shape[0]} classes; expected at most {ABSTAIN}, which means abstain"
        )
    chosen = votes.selection.argmax(axis=0)  # (H, W)
    counts = np.take_along_axis(votes.estimation, chosen[None], axis=0)[0]  # (H, W)
    histogram = np.bincount(counts.ravel(), minlength=votes.n + 1)
    threshold = holm_threshold(histogram, p_value_table(votes.n, tau), alpha)
    labels = np.where(counts >= threshold, chosen, ABSTAIN).astype(np.uint8)
    return Certificate(labels, certified_radius(votes.sigma, tau), votes.sigma, tau, alpha, votes.n0, votes.n, method)


def certified_radius(sigma: float, tau: float) -> float:
    """sigma * Phi^-1(tau): the l2 radius, in the units of sigma."""
    return float(sigma * norm.ppf(tau))


def radius_in_gray_levels(radius: float, values: int) -> float:
    """A radius as root-mean-square change in 8-bit gray levels per value: 255 R / sqrt(values of the image)."""
    return 255 * radius / math.sqrt(values)


def check_settings(tau: float, alpha: float, method: str) -> None:
    """Raise CertificationError for settings out of range."""
    if not 0.5 < tau < 1:
        raise CertificationError(f"tau: found {tau}; expected above 0.5 and below 1, for example 0.75")
    if not 0 < alpha < 0.5:
        raise CertificationError(f"alpha: found {alpha}; expected above 0 and below 0.5, for example 0.001")
    if method not in METHODS:
        raise CertificationError(f"method: found {method!r}; expected one of {', '.join(METHODS)}")
