"""From votes to a certificate (SegCertify: Fischer et al., ICML 2021, algorithm 2; and other corrections)."""

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from segcert.certification.methods import CertificationError, check_settings, require_feasible
from segcert.certification.multiple_testing import (
    by_threshold,
    holm_threshold,
    kfwer_threshold,
    p_value_table,
    selection_free_threshold,
)
from segcert.votes import Counts, Votes

ABSTAIN = 255
GUARANTEES = {
    "segcertify": "with probability at least 1 - alpha, no pixel of the image is certified wrongly",
    "holm": "with probability at least 1 - alpha, no pixel of the image is certified wrongly",
    "kfwer": "with probability at least 1 - alpha, fewer than k pixels of the image are certified wrongly",
    "by": "of the certified pixels of the image, at most the share alpha is expected to be certified wrongly",
}


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What is certified of one image.

    A pixel of `labels` that is not ABSTAIN is certified rightly if the smoothed model gives it this label under
    every perturbation of the image with an l2 norm below `radius`. `guarantee` says how sure that is; the
    probability is over the draws of the noise, with n fixed before they were looked at.

    Attributes
    ----------
    labels
        (H, W) uint8: class ids, and ABSTAIN = 255 where nothing is certified.
    radius
        l2 radius, in units of pixels in [0, 1].
    sigma
        Noise level of the votes, in units of pixels in [0, 1].
    tau
        Share of the noisy copies on which a class had to win.
    alpha
        Error rate of the image.
    n0
        Number of selection draws.
    n
        Number of estimation draws.
    method
        The statistics; `guarantee` says what they promise.
    k
        Of `kfwer`; 1 otherwise.
    earlier_n
        Smaller numbers of draws with which this image had been certified before. alpha covers one decision with n
        fixed beforehand, not raising n after a look until the certificate pleases.
    """

    labels: npt.NDArray[np.uint8]
    radius: float
    sigma: float
    tau: float
    alpha: float
    n0: int
    n: int
    method: str
    k: int = 1
    earlier_n: tuple[int, ...] = ()

    @property
    def abstain(self) -> float:
        """Share of the pixels that abstain, in [0, 1]."""
        return float(np.mean(self.labels == ABSTAIN))

    @property
    def guarantee(self) -> str:
        """How sure the labels are, in words."""
        return GUARANTEES[self.method]

    def settings(self) -> dict[str, Any]:
        """All but the labels, as plain values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if name != "labels"}


def certify(
    votes: Votes, tau: float = 0.75, alpha: float = 0.001, method: str = "segcertify", *, k: int = 10
) -> Certificate:
    """Decide each pixel of an image from its votes.

    For the pixel's chosen class c, the hypothesis H: P(f(x + noise) = c) <= tau is tested with the exact one-sided
    binomial test. Where it is rejected, the pixel is certified with radius sigma * Phi^-1(tau) (Cohen et al., ICML
    2019); the others abstain. Exact under any dependence between pixels, and whatever the model is.

    Parameters
    ----------
    votes
        The counts of the image.
    tau
        In (0.5, 1).
    alpha
        Error rate of the image, in (0, 0.5).
    method
        "segcertify": the n0 selection draws choose c (the lower id in a tie), the n estimation draws test it; Holm's
        procedure over all pixels bounds the probability of any wrong pixel by alpha (Fischer et al., ICML 2021).
        "holm": the same guarantee, but all n0 + n draws choose and test (`selection_free_threshold` has the proof).
        Weaker: "kfwer": k or more wrong pixels have probability <= alpha (Lehmann and Romano 2005); "by": the
        expected share of wrong pixels among the certified is <= alpha (Benjamini and Yekutieli 2001).
    k
        Of "kfwer" alone.

    Returns
    -------
    Certificate
        Decisions are those of scipy's `binomtest` at each pixel and the correction of statsmodels, by table and
        histogram instead of by pixel.

    Raises
    ------
    CertificationError
        For settings out of range, and for settings with which no pixel could be certified whatever the votes
        (`smallest_n`).

    Examples
    --------
    >>> import numpy as np, segcert
    >>> selection = np.array([[[10, 1]], [[0, 9]]])  # 2 classes, 1 x 2 pixels, n0 = 10
    >>> estimation = np.array([[[100, 30]], [[0, 70]]])  # n = 100
    >>> votes = segcert.Votes.from_counts(selection, estimation, sigma=0.25)
    >>> certificate = segcert.certify(votes, tau=0.75, alpha=0.001)
    >>> certificate.labels  # the second pixel abstains
    array([[  0, 255]], dtype=uint8)
    >>> round(certificate.radius, 3)
    0.169
    """
    check_votes(votes, tau, alpha, method, k)
    chosen, counts = chosen_class(votes, method)
    threshold = rejection_threshold(counts, tested_draws(votes, method), tau, alpha, method, k)
    return Certificate(
        labels=np.where(counts >= threshold, chosen, ABSTAIN).astype(np.uint8),
        radius=certified_radius(votes.sigma, tau),
        sigma=votes.sigma,
        tau=tau,
        alpha=alpha,
        n0=votes.n0,
        n=votes.n,
        method=method,
        k=k if method == "kfwer" else 1,
        earlier_n=tuple(votes.origin.get("earlier_n", ())),
    )


def rejection_threshold(counts: Counts, n: int, tau: float, alpha: float, method: str, k: int = 1) -> int:
    """The least count, of n draws, with which a method certifies a pixel of an image with these counts (H, W)."""
    histogram = np.bincount(counts.ravel(), minlength=n + 1)
    if method == "holm":
        return selection_free_threshold(histogram, n, tau, alpha)
    p_values = p_value_table(n, tau)
    if method == "kfwer":
        return kfwer_threshold(histogram, p_values, alpha, k)
    return (by_threshold if method == "by" else holm_threshold)(histogram, p_values, alpha)


def check_votes(votes: Votes, tau: float, alpha: float, method: str, k: int = 1) -> None:
    """Raise CertificationError for settings out of range, and where these votes could not certify anything."""
    check_settings(tau, alpha, method, k)
    require_feasible(votes.n, math.prod(votes.estimation.shape[1:]), tau, alpha, method, votes.n0, k)
    if votes.n0 < 1 and method != "holm":
        raise CertificationError("votes: hold no selection draws; expected n0 >= 1, or method `holm`")
    if votes.selection.shape[0] > ABSTAIN:
        raise CertificationError(
            f"votes: {votes.selection.shape[0]} classes; expected at most {ABSTAIN}, which means abstain"
        )


def tested_draws(votes: Votes, method: str) -> int:
    """Number of draws that the test of a method counts."""
    return votes.n0 + votes.n if method == "holm" else votes.n


def chosen_class(votes: Votes, method: str) -> tuple[npt.NDArray[np.intp], Counts]:
    """The class that a method tests at each pixel, (H, W), and its votes among the tested draws, (H, W)."""
    if method == "holm":
        total = votes.selection.astype(np.uint32) + votes.estimation
        return total.argmax(axis=0), total.max(axis=0)
    chosen = votes.selection.argmax(axis=0)
    return chosen, np.take_along_axis(votes.estimation, chosen[None], axis=0)[0]


def certified_radius(sigma: float, tau: float) -> float:
    """sigma * Phi^-1(tau): the l2 radius, in the units of sigma."""
    return float(sigma * ndtri(tau))


def radius_in_gray_levels(radius: float, values: int) -> float:
    """A radius as root-mean-square change in 8-bit gray levels per value: 255 R / sqrt(values of the image)."""
    return 255 * radius / math.sqrt(values)
