"""Certificates computed from votes, with SegCertify (Fischer et al., ICML 2021, algorithm 2) or another method."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from segcert.certification.methods import METHODS, CertificationError, alpha_per_look, require_feasible
from segcert.votes import PIXELS, Counts, Votes

ABSTAIN = 255


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The certificate of one image.

    A pixel is certified if its label in `labels` is not ABSTAIN. A pixel's certificate is correct if the smoothed model
    gives the pixel this label under every perturbation of the image with an l2 norm below `radius`. For a threat other
    than pixels, this holds for every change of its family with a parameter of l2 norm below `radius`.

    `guarantee` states the confidence, which is a probability over the noise draws. The guarantee is valid for a single
    decision, for which sigma, n0, n, the seed, tau, alpha and the method were fixed before anyone saw the votes. It is
    not valid for the best of several decisions.

    Attributes
    ----------
    labels
        Array of shape (H, W), uint8: class ids, and ABSTAIN = 255 where nothing is certified.
    radius
        Certified l2 radius, for pixel values in [0, 1]; for another threat than pixels, in its parameter.
    sigma
        Noise level at which the votes were drawn, in the same unit.
    tau
        Threshold in (0.5, 1). With the stated confidence, the network gives a certified pixel its label on more than
        this share of noisy copies.
    alpha
        Error rate for the whole image, in (0, 0.5); see `guarantee`.
    n0
        Number of selection draws.
    n
        Number of estimation draws.
    method
        Name of the statistical method (see `certify`).
    k
        Parameter k of the method "kfwer"; 1 for other methods.
    looks
        Planned looks: all values of n at which sampling might have ended, in increasing order. `n` is one of them.
        Empty if a single value of n was fixed.
    threat
        Name of the threat: "pixels", or a family of changes.
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
    looks: tuple[int, ...] = ()
    threat: str = PIXELS

    @property
    def level(self) -> float:
        """Error rate of this decision alone: alpha or, with planned looks, alpha divided by the number of looks."""
        return alpha_per_look(self.alpha, self.looks)

    @property
    def abstain(self) -> float:
        """Share of pixels that abstain, in [0, 1]."""
        return float(np.mean(self.labels == ABSTAIN))

    @property
    def guarantee(self) -> str:
        """A sentence that states the guarantee for the labels."""
        return METHODS[self.method].guarantee

    def settings(self) -> dict[str, Any]:
        """Return all attributes except the labels, as a dictionary of plain values. `threat` is missing for pixels."""
        left_out = {"labels", "threat"} if self.threat == PIXELS else {"labels"}
        names = [field.name for field in dataclasses.fields(self) if field.name not in left_out]
        return {name: getattr(self, name) for name in names} | {"looks": list(self.looks)}

    def decision(self) -> dict[str, Any]:
        """Return the settings that were fixed before the votes were seen. With planned looks, `n` is the largest.

        A single look is the same decision as a fixed n, so `looks` is then empty.
        """
        planned = list(self.looks) if len(self.looks) > 1 else []
        return self.settings() | {"n": max([self.n, *self.looks]), "looks": planned}


def certify(
    votes: Votes,
    tau: float = 0.75,
    alpha: float = 0.001,
    method: str = "segcertify",
    *,
    k: int = 10,
    looks: Sequence[int] = (),
) -> Certificate:
    """Certify the pixels of an image from its votes.

    First, a class c is chosen for each pixel. Let p be the probability that the network gives the pixel this class when
    noise is added to the image. The hypothesis p <= tau is tested with an exact one-sided binomial test. If it is
    rejected, the pixel is certified with radius sigma * Phi^-1(tau) (Cohen et al., ICML 2019). All other pixels
    abstain. The guarantee is exact for any model and any dependence between pixels.

    Parameters
    ----------
    votes
        Votes of the image.
    tau
        Threshold of the test, in (0.5, 1).
    alpha
        Error rate for the whole image, in (0, 0.5).
    method
        With "segcertify", the class c is chosen from the n0 selection draws (the lowest id in a tie) and tested on the
        n estimation draws. With Holm's procedure over all pixels, the probability that any pixel is certified wrongly
        is at most alpha (Fischer et al., ICML 2021). "holm" has the same guarantee, but c is both chosen and tested on
        all n0 + n draws (see `selection_free_threshold` for the proof). Two methods have a weaker guarantee. With
        "kfwer", the probability that k or more pixels are certified wrongly is at most alpha (Lehmann and Romano 2005).
        With "by", the expected share of wrong pixels among the certified pixels is at most alpha (Benjamini and
        Yekutieli 2001).
    k
        Parameter of "kfwer"; other methods ignore it.
    looks
        Planned looks: the values of n, fixed before any vote was seen, at which sampling may end. Alpha is divided
        equally among the looks, so it bounds the error probability of all looks together (see `segcert.Looks`). The
        default is for a single value of n that was fixed.

    Returns
    -------
    Certificate
        The certificate of the image. It certifies the same pixels as scipy's `binomtest`, applied to each pixel, with
        the corresponding multiple-testing correction of statsmodels. For speed, the tests use a table of p-values and a
        histogram of counts.

    Raises
    ------
    CertificationError
        If a setting is out of range, or if no pixel could be certified with these settings, whatever the votes are (see
        `smallest_n`). With `looks`, also if they do not increase, or if the number n of the votes is not one of them.

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
    check_votes(votes, tau, alpha, method, k, looks)
    if looks and votes.n not in looks:
        raise CertificationError(
            f"votes: found n = {votes.n}; expected one of the planned numbers of draws (`looks`): "
            f"{', '.join(map(str, looks))}"
        )
    level = alpha_per_look(alpha, looks)
    chosen, counts = chosen_class(votes, method)
    threshold = rejection_threshold(counts, tested_draws(votes, method), tau, level, method, k)
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
        looks=tuple(looks),
        threat=votes.threat,
    )


def rejection_threshold(counts: Counts, n: int, tau: float, alpha: float, method: str, k: int = 1) -> int:
    """Return the smallest count in n draws at which a method certifies a pixel.

    `counts`, of shape (H, W), contains the number of votes for the tested class at each pixel.
    """
    histogram = np.bincount(counts.ravel(), minlength=n + 1)
    return METHODS[method].threshold(histogram, n, tau, alpha, k)


def check_votes(votes: Votes, tau: float, alpha: float, method: str, k: int = 1, looks: Sequence[int] = ()) -> None:
    """Raise CertificationError if a setting is out of range, or if these votes are unsuitable for the method."""
    require_feasible(votes.n, math.prod(votes.estimation.shape[1:]), tau, alpha, method, votes.n0, k, looks)
    if votes.n0 < 1 and not METHODS[method].all_draws:
        raise CertificationError(
            "votes: found no selection draws (n0 = 0); expected n0 >= 1. Draw the votes again with n0 >= 1, or use "
            "the method `holm`, which needs no selection draws"
        )
    if votes.selection.shape[0] > ABSTAIN:
        raise CertificationError(
            f"votes: found {votes.selection.shape[0]} classes; expected at most {ABSTAIN}, because label {ABSTAIN} "
            "means abstain"
        )


def tested_draws(votes: Votes, method: str) -> int:
    """Return the number of draws that a method's test uses."""
    return votes.n0 + votes.n if METHODS[method].all_draws else votes.n


def chosen_class(votes: Votes, method: str) -> tuple[npt.NDArray[np.intp], Counts]:
    """Return the class that a method tests at each pixel, and the number of votes for it in the tested draws.

    Both are arrays of shape (H, W).
    """
    if METHODS[method].all_draws:
        total = votes.selection.astype(np.uint32) + votes.estimation
        return total.argmax(axis=0), total.max(axis=0)
    chosen = votes.selection.argmax(axis=0)
    return chosen, np.take_along_axis(votes.estimation, chosen[None], axis=0)[0]


def certified_radius(sigma: float, tau: float) -> float:
    """Return the l2 radius sigma * Phi^-1(tau), in the same unit as sigma."""
    return float(sigma * ndtri(tau))


def radius_in_gray_levels(radius: float, values: int, threat: str = PIXELS) -> float:
    """Convert an l2 radius to the RMS change per value in 8-bit gray levels, for an image with `values` values.

    Raises CertificationError for a threat other than pixels, whose radius is no distance between images.
    """
    if threat != PIXELS:
        raise CertificationError(
            f"radius: found that of the threat {threat}, which is not in gray levels; expected that of the threat "
            f"{PIXELS}. Its range as text: load_family(...).in_words(radius)"
        )
    return 255 * radius / math.sqrt(values)
