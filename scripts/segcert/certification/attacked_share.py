"""A sequential test of a certificate at an attacked pixel, and the power of this test.

Let p be the share of noisy copies on which a pixel has its class. After a perturbation of norm d, this share is at
least Phi(Phi^-1(p) - d / sigma) (Cohen et al., ICML 2019). For a half-space, it equals this bound. Therefore, a
certificate with radius R at the threshold tau implies that the normal quantile of the share falls by at most d
Phi^-1(tau) / R, the *allowed fall*. A share of tau stays above one half only if d is below R, but the fall can be
tested at any norm and for any share.

The test has two stages. First, draws of the unperturbed image give a lower confidence bound on p. Then a sequential
probability ratio test (Wald 1945) uses draws of the perturbed image. Its null hypothesis is the lowest share that the
certificate allows. Its alternative is the share that is expected if the radius is too large by the factor OVERSTATED.
If the certificate is correct, the probability that the likelihood ratio ever reaches 1 / `error` is at most `error`
(Ville's inequality), no matter how often the ratio is checked.
"""

import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtr, ndtri

ERROR = 0.001  # probability that the attacks on an image, at all norms together, refute a correct certificate
OVERSTATED = 1.5  # factor by which the radius is too large under the alternative; the power is also computed for it
FIRST_LOOK = 100  # number of draws at the first look
GROWTH = 1.25  # factor by which the number of draws grows from one look to the next
HOPELESS = 0.02  # the test ends without a finding if the likelihood ratio is at most this value
SEPARATION = 0.25  # smallest difference between the null and the alternative, in normal quantiles
SMALLEST = 1e-9  # shares below this value are not tested
NEGLIGIBLE = 1e-9  # numbers of votes that are less probable than this are ignored in the computation of the power


@dataclasses.dataclass(frozen=True)
class Claim:
    """The claim of a certificate about one attacked pixel, with the settings of the test.

    Attributes
    ----------
    fall
        Allowed fall of the normal quantile of the share: the norm of the perturbation times Phi^-1(tau) / radius.
    promised
            Lower bound that the certificate gives for the share of the unperturbed image. It is tau, or 0 for a method
            with a weaker guarantee, which implies nothing about a single pixel.
    clean_draws
        Number of draws of the unperturbed image.
    draws
        Largest number of draws of the perturbed image.
    clean_error
        Error probability of the bound on the share of the unperturbed image.
    error
        Error probability of the sequential test. A correct certificate is refuted with probability at most
        `clean_error` + `error`.
    """

    fall: float
    promised: float
    clean_draws: int
    draws: int
    clean_error: float
    error: float

    def test(self, clean_votes: int) -> "ShareTest":
        """Return the test for the perturbed image, given the votes for the pixel's class on the unperturbed image."""
        bound = lower_bound(clean_votes, self.clean_draws, self.clean_error)
        least = float(ndtri(max(bound, self.promised)) - self.fall)
        expected = float(ndtri((clean_votes + 0.5) / (self.clean_draws + 1)) - OVERSTATED * self.fall)
        alternative = max(float(ndtr(min(expected, least - SEPARATION))), SMALLEST / 2)
        return ShareTest(float(ndtr(least)), alternative, self.draws, self.error)

    def power(self, share: float, fall: float) -> float:
        """Return the exact probability that the two-stage test refutes the certificate, by recursion over the looks.

        `share` is the true share of the unperturbed image, in [0, 1]. The normal quantile of the perturbed image's true
        share is smaller by `fall`. For example, suppose that the radius of a half-space is overstated by some factor,
        and that the attack is perfect. Then `fall` is this factor times the allowed fall.
        """
        attacked = float(ndtr(ndtri(share) - fall))
        weights = _binomial(self.clean_draws, share)
        (likely,) = np.nonzero(weights > NEGLIGIBLE)
        return float(weights[likely] @ [self.test(int(votes)).power(attacked) for votes in likely])


@dataclasses.dataclass(frozen=True)
class ShareTest:
    """Sequential test of the hypothesis H: share >= `least`, against `alternative`, with at most `draws` draws."""

    least: float
    alternative: float
    draws: int
    error: float

    @property
    def looks(self) -> list[int]:
        """The numbers of draws at which the test may end."""
        looks, look = [], min(FIRST_LOOK, self.draws)
        while look < self.draws:
            looks.append(look)
            look = math.ceil(look * GROWTH)
        return [*looks, self.draws] if self.draws else []

    def refutes(self, votes: int, draws: int) -> bool | None:
        """Return True if `votes` votes in `draws` draws refute H.

        Otherwise, return False if the test ends without a finding, or None if it continues.
        """
        evidence = float(self._evidence(np.asarray(votes), draws))
        if evidence >= -math.log(self.error):
            return True
        return False if evidence <= math.log(HOPELESS) else None

    def power(self, share: float) -> float:
        """Return the probability that the test refutes H if the true share is `share`."""
        refuted, first, seen, state = 0.0, 0, 0, np.ones(1)  # state[i] = P(not ended, first + i votes)
        for look in self.looks:
            new = look - seen
            state, seen = np.convolve(state, _binomial(new, share)), look
            evidence = self._evidence(first + np.arange(len(state)), seen)  # decreases with the number of votes
            refuted += float(state[evidence >= -math.log(self.error)].sum())
            (going_on,) = np.nonzero((evidence < -math.log(self.error)) & (evidence > math.log(HOPELESS)))
            if not len(going_on):
                break
            state, first = state[going_on[0] : going_on[-1] + 1], first + int(going_on[0])
        return refuted

    def _evidence(self, votes: npt.NDArray[np.int64], draws: int) -> npt.NDArray[np.float64]:
        """Return the logarithm of the likelihood ratio of the share `alternative` to the share `least`."""
        if self.least < SMALLEST:  # a share of 0 is allowed, so nothing can be refuted
            return np.full(votes.shape, -np.inf)
        missing = draws - votes
        gain = math.log1p(-self.alternative) - math.log1p(-self.least)
        return np.asarray(votes * math.log(self.alternative / self.least) + missing * gain)


@functools.lru_cache(maxsize=64)
def _binomial(draws: int, share: float) -> npt.NDArray[np.float64]:
    """Return the probabilities of 0, ..., `draws` votes, as an array of shape (draws + 1,)."""
    from scipy.stats import binom  # imported here, because the import takes a second

    return np.asarray(binom.pmf(np.arange(draws + 1), draws, share), dtype=np.float64)


def lower_bound(votes: int, draws: int, error: float) -> float:
    """Return the exact lower confidence bound on a share (Clopper and Pearson 1934), with error probability `error`."""
    return float(betaincinv(votes, draws - votes + 1, error)) if votes else 0.0


def measured_fall(clean_votes: int, clean_draws: int, votes: int, draws: int) -> float:
    """Return the measured decrease in the normal quantile of a class's share that a perturbation causes.

    The arguments are the numbers of votes and draws, first for the unperturbed image and then for the perturbed image.
    The normal quantiles of the shares 0 and 1 are infinite. Therefore, 0 votes are replaced by half a vote, and a
    number of votes that equals the number of draws is reduced by half a vote.
    """

    def quantile(count: int, of: int) -> float:
        return float(ndtri(min(max(count, 0.5), of - 0.5) / of))

    return quantile(clean_votes, clean_draws) - quantile(votes, draws)
