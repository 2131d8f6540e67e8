"""A sequential test of what a certificate says about an attacked pixel, and the power of this test.

Let p be the share of noisy copies on which a pixel has its class. A perturbation of norm d lowers it to no less than
Phi(Phi^-1(p) - d / sigma) (Cohen et al., ICML 2019), with equality for a half-space. So a certificate of radius R at
the threshold tau says that the normal quantile of a share falls by at most d Phi^-1(tau) / R, the *allowed fall*. A
share of tau stays above one half only within R, but the fall can be tested at any norm and share.

Draws of the unperturbed image give a lower confidence bound on p. Then a sequential probability ratio test (Wald 1945)
uses draws of the perturbed image. It compares the least share that the certificate allows with the share to which a
radius overstated by the factor OVERSTATED would lead. If the certificate is right, the ratio ever reaches 1 / error
with probability at most `error` (Ville's inequality), however often the ratio is checked.
"""

import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtr, ndtri

ERROR = 0.001  # probability with which the attacks refute a right certificate of an image, all norms together
OVERSTATED = 1.5  # factor by which a radius is too large, for the alternative of the test and for its power
FIRST_LOOK = 100  # draws
GROWTH = 1.25  # of the number of draws, from look to look
HOPELESS = 0.02  # the test ends without a finding if the likelihood ratio is at most this
SEPARATION = 0.25  # least difference of null and alternative, in normal quantiles
SMALLEST = 1e-9  # shares below this are not tested
NEGLIGIBLE = 1e-9  # probability of numbers of votes that the power leaves out


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement that a certificate makes about one attacked pixel, and settings of its test.

    Attributes
    ----------
    fall
        Allowed fall of the normal quantile of the share: the norm of the perturbation times Phi^-1(tau) / radius.
    promised
        Share that the unperturbed image exceeds according to the certificate: tau, or 0 if the certificate says nothing
        about single pixels (a method with a weaker guarantee).
    clean_draws
        Number of draws of the unperturbed image.
    draws
        Largest number of draws of the perturbed image.
    clean_error
        Error probability of the bound on the share of the unperturbed image.
    error
        Error probability of the sequential test. A certificate that is right is refuted with probability at most
        `clean_error` + `error`.
    """

    fall: float
    promised: float
    clean_draws: int
    draws: int
    clean_error: float
    error: float

    def test(self, clean_votes: int) -> "ShareTest":
        """Return the test of the perturbed image, given the votes of the pixel's class on the unperturbed image."""
        bound = lower_bound(clean_votes, self.clean_draws, self.clean_error)
        least = float(ndtri(max(bound, self.promised)) - self.fall)
        expected = float(ndtri((clean_votes + 0.5) / (self.clean_draws + 1)) - OVERSTATED * self.fall)
        alternative = max(float(ndtr(min(expected, least - SEPARATION))), SMALLEST / 2)
        return ShareTest(float(ndtr(least)), alternative, self.draws, self.error)

    def power(self, share: float, fall: float) -> float:
        """Return the probability that both stages refute the certificate: exact, by recursion over the looks.

        `share` is the true share of the unperturbed image, in [0, 1]. The true share of the perturbed image has a
        normal quantile that is smaller by `fall`. For a perfect attack on a half-space whose radius is overstated by a
        factor, `fall` is this factor times the allowed fall.
        """
        attacked = float(ndtr(ndtri(share) - fall))
        weights = _binomial(self.clean_draws, share)
        (likely,) = np.nonzero(weights > NEGLIGIBLE)
        return float(weights[likely] @ [self.test(int(votes)).power(attacked) for votes in likely])


@dataclasses.dataclass(frozen=True)
class ShareTest:
    """Sequential test of H: share >= `least` against the share `alternative`, with at most `draws` draws."""

    least: float
    alternative: float
    draws: int
    error: float

    @property
    def looks(self) -> list[int]:
        """Numbers of draws at which the test may end."""
        looks, look = [], min(FIRST_LOOK, self.draws)
        while look < self.draws:
            looks.append(look)
            look = math.ceil(look * GROWTH)
        return [*looks, self.draws] if self.draws else []

    def refutes(self, votes: int, draws: int) -> bool | None:
        """Return True or False if the test ends after `votes` votes in `draws` draws, or None if it continues."""
        evidence = float(self._evidence(np.asarray(votes), draws))
        if evidence >= -math.log(self.error):
            return True
        return False if evidence <= math.log(HOPELESS) else None

    def power(self, share: float) -> float:
        """Return the probability that the test refutes H if this is the true share."""
        refuted, first, seen, state = 0.0, 0, 0, np.ones(1)  # state[i] = P(not ended, first + i votes)
        for look in self.looks:
            new = look - seen
            state, seen = np.convolve(state, _binomial(new, share)), look
            evidence = self._evidence(first + np.arange(len(state)), seen)  # falls with the votes
            refuted += float(state[evidence >= -math.log(self.error)].sum())
            (going_on,) = np.nonzero((evidence < -math.log(self.error)) & (evidence > math.log(HOPELESS)))
            if not len(going_on):
                break
            state, first = state[going_on[0] : going_on[-1] + 1], first + int(going_on[0])
        return refuted

    def _evidence(self, votes: npt.NDArray[np.int64], draws: int) -> npt.NDArray[np.float64]:
        """Return the logarithm of the likelihood ratio of `alternative` to `least`."""
        if self.least < SMALLEST:  # a share of 0 is allowed, so nothing can be refuted
            return np.full(votes.shape, -np.inf)
        missing = draws - votes
        gain = math.log1p(-self.alternative) - math.log1p(-self.least)
        return np.asarray(votes * math.log(self.alternative / self.least) + missing * gain)


@functools.lru_cache(maxsize=64)
def _binomial(draws: int, share: float) -> npt.NDArray[np.float64]:
    """Return the probabilities of 0, ..., `draws` votes, an array of shape (draws + 1,)."""
    from scipy.stats import binom  # imported here: it takes a second

    return np.asarray(binom.pmf(np.arange(draws + 1), draws, share), dtype=np.float64)


def lower_bound(votes: int, draws: int, error: float) -> float:
    """Return the exact lower confidence bound on a share (Clopper and Pearson 1934), with error probability `error`."""
    return float(betaincinv(votes, draws - votes + 1, error)) if votes else 0.0


def measured_fall(clean_votes: int, clean_draws: int, votes: int, draws: int) -> float:
    """Return how far a perturbation lowers the normal quantile of a class's share, as measured.

    The arguments are the numbers of votes and draws, first for the unperturbed image, then for the perturbed one.
    Shares of 0 and 1 are replaced by those of half a vote more or less, because their quantiles are infinite.
    """

    def quantile(count: int, of: int) -> float:
        return float(ndtri(min(max(count, 0.5), of - 0.5) / of))

    return quantile(clean_votes, clean_draws) - quantile(votes, draws)
