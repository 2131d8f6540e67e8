"""Certificates computed from votes: SegCertify (Fischer et al., ICML 2021, algorithm 2) and other corrections."""

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from segcert.certification.methods import METHODS, CertificationError, check_settings, require_feasible
from segcert.votes import Counts, Votes

ABSTAIN = 255


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The certificate of one image.

    A pixel is certified if its label in `labels` is not ABSTAIN. A pixel's certificate is correct if the smoothed model
    gives the pixel this label under every perturbation of the image with an l2 norm below `radius`. `guarantee` states
    the confidence. It is a probability over the noise draws, and it holds only if n was fixed before anyone saw the
    draws.

    Attributes
    ----------
    labels
        (H, W) uint8: class ids, and ABSTAIN = 255 where nothing is certified.
    radius
        l2 radius, in units of pixel values in [0, 1].
    sigma
        Noise level of the votes, in units of pixel values in [0, 1].
    tau
        With the stated confidence, a certified pixel has its class on more than this share of noisy copies.
    alpha
        Error rate of the whole image.
    n0
        Number of selection draws.
    n
        Number of estimation draws.
    method
        Name of the statistical method, see `certify`.
    k
        Parameter k of the method "kfwer"; 1 for other methods.
    earlier_n
        Smaller values of n with which this image was certified before. alpha covers a single decision with n fixed
        beforehand. It does not cover increasing n until the certificate looks good.
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
        """Share of pixels that abstain, in [0, 1]."""
        return float(np.mean(self.labels == ABSTAIN))

    @property
    def guarantee(self) -> str:
        """The guarantee of the labels, as text."""
        return METHODS[self.method].guarantee

    def settings(self) -> dict[str, Any]:
        """Return all attributes except the labels, as plain values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if name != "labels"}


def certify(
    votes: Votes, tau: float = 0.75, alpha: float = 0.001, method: str = "segcertify", *, k: int = 10
) -> Certificate:
    """Certify the pixels of an image from its votes.

    For the chosen class c of a pixel, the hypothesis H: P(f(x + noise) = c) <= tau is tested with the exact one-sided
    binomial test. If H is rejected, the pixel is certified with radius sigma * Phi^-1(tau) (Cohen et al., ICML 2019).
    All other pixels abstain. The guarantee is exact for any model and any dependence between pixels.

    Parameters
    ----------
    votes
        Votes of the image.
    tau
        Threshold of the test, in (0.5, 1).
    alpha
        Error rate of the whole image, in (0, 0.5).
    method
        "segcertify": the n0 selection draws choose c (the lower id in a tie), and the n estimation draws test it.
        Holm's procedure over all pixels bounds the probability of any wrong pixel by alpha (Fischer et al., ICML 2021).
        "holm": the same guarantee, but all n0 + n draws both choose c and test it (proof in
        `selection_free_threshold`). Two methods have a weaker guarantee. "kfwer": the probability of k or more wrong
        pixels is at most alpha (Lehmann and Romano 2005). "by": the expected share of wrong pixels among the certified
        ones is at most alpha (Benjamini and Yekutieli 2001).
    k
        Parameter of "kfwer"; other methods ignore it.

    Returns
    -------
    Certificate
        The certificate of the image. Its decisions equal those of scipy's `binomtest` at each pixel with the
        corresponding statsmodels correction. They are computed from a table of p-values and a histogram of counts, not
        pixel by pixel.

    Raises
    ------
    CertificationError
        For settings that are out of range, or with which no votes could certify a pixel (see `smallest_n`).

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
        k=k if METHODS[method].takes_k else 1,
        earlier_n=tuple(votes.origin.get("earlier_n", ())),
    )


def rejection_threshold(counts: Counts, n: int, tau: float, alpha: float, method: str, k: int = 1) -> int:
    """Return the least count, out of n draws, at which a method certifies a pixel of an image with counts (H, W)."""
    histogram = np.bincount(counts.ravel(), minlength=n + 1)
    return METHODS[method].threshold(histogram, n, tau, alpha, k)


def check_votes(votes: Votes, tau: float, alpha: float, method: str, k: int = 1) -> None:
    """Raise CertificationError for settings that are out of range, or for votes that cannot certify anything."""
    check_settings(tau, alpha, method, k)
    require_feasible(votes.n, math.prod(votes.estimation.shape[1:]), tau, alpha, method, votes.n0, k)
    if votes.n0 < 1 and not METHODS[method].all_draws:
        raise CertificationError("votes: found no selection draws; expected n0 >= 1, or the method `holm`")
    if votes.selection.shape[0] > ABSTAIN:
        raise CertificationError(
            f"votes: found {votes.selection.shape[0]} classes; expected at most {ABSTAIN}, because label {ABSTAIN} "
            "means abstain"
        )


def tested_draws(votes: Votes, method: str) -> int:
    """Number of draws that a method's test uses."""
    return votes.n0 + votes.n if METHODS[method].all_draws else votes.n


def chosen_class(votes: Votes, method: str) -> tuple[npt.NDArray[np.intp], Counts]:
    """Return the class that a method tests at each pixel, (H, W), and the tested draws' votes for it, (H, W)."""
    if METHODS[method].all_draws:
        total = votes.selection.astype(np.uint32) + votes.estimation
        return total.argmax(axis=0), total.max(axis=0)
    chosen = votes.selection.argmax(axis=0)
    return chosen, np.take_along_axis(votes.estimation, chosen[None], axis=0)[0]


def certified_radius(sigma: float, tau: float) -> float:
    """Return the l2 radius sigma * Phi^-1(tau), in the units of sigma."""
    return float(sigma * ndtri(tau))


def radius_in_gray_levels(radius: float, values: int) -> float:
    """Convert a radius R to the RMS change per image value in 8-bit gray levels: 255 R / sqrt(number of values)."""
    return 255 * radius / math.sqrt(values)
