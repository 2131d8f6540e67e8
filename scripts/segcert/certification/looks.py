"""Planned looks: numbers of draws, fixed beforehand, at which an image may be certified and sampling may stop."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from segcert.certification.certificate import Certificate, certify
from segcert.certification.methods import CertificationError, require_feasible
from segcert.votes import Votes


@dataclasses.dataclass(frozen=True)
class Looks:
    """Planned looks at the votes of an image, and the settings of the certificate.

    At each look, the image is certified at level alpha / (number of looks). Sampling ends at the first look at which
    few enough pixels abstain, or at the last look. The certificate is the one of that look. It can only be wrong if the
    certificate of one of the looks is wrong. By the union bound, this has probability at most alpha, whatever decides
    when sampling ends. So `stop_at_abstention` may even be chosen after votes were seen; all other settings may not.
    Under "by", the expected share of wrong pixels is at most the sum of those at all looks, and so at most alpha.

    Attributes
    ----------
    ns
        Number n of estimation draws at each look, increasing.
    tau
        Threshold of the test, in (0.5, 1).
    alpha
        Error rate for the whole image, in (0, 0.5), which the looks share equally.
    method
        Name of the statistical method (see `certify`).
    k
        Parameter of the method "kfwer"; other methods ignore it.
    stop_at_abstention
        Share of pixels, in [0, 1]: sampling ends at a look at which at most this share abstains.

    Raises
    ------
    CertificationError
        If there is no look, or if `stop_at_abstention` is out of range.

    Examples
    --------
    >>> import segcert
    >>> looks = segcert.Looks((60, 110, 300), tau=0.75, alpha=0.05)

    >>> votes = segcert.Votes.from_counts([[[10, 1]], [[0, 9]]], [[[60, 5]], [[0, 55]]], sigma=0.25)  # n = 60

    >>> looks.certify(votes).labels, looks.are_over(votes)
    (array([[0, 1]], dtype=uint8), True)
    """

    ns: tuple[int, ...]
    tau: float = 0.75
    alpha: float = 0.001
    method: str = "segcertify"
    k: int = 10
    stop_at_abstention: float = 0.0

    def __post_init__(self) -> None:
        if not self.ns:
            raise CertificationError("`looks`: found none; expected at least one number of draws. Write `looks: [100]`")
        if not 0 <= self.stop_at_abstention <= 1:
            raise CertificationError(
                f"`stop_at_abstention`: found {self.stop_at_abstention}; expected a share of the pixels from 0 to 1"
            )

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Return the looks that the parameter `looks` of a job describes."""
        return cls(**{**params, "ns": tuple(params["ns"])})

    def check(self, pixels: int, n0: int) -> None:
        """Raise CertificationError unless every look could certify a pixel of an image with `pixels` pixels."""
        require_feasible(self.ns[0], pixels, self.tau, self.alpha, self.method, n0, self.k, self.ns)

    def certify(self, votes: Votes) -> Certificate:
        """Certify an image from its votes at one of the looks. Raises CertificationError as `certify` does."""
        return certify(votes, self.tau, self.alpha, self.method, k=self.k, looks=self.ns)

    def are_over(self, votes: Votes) -> bool:
        """Return True if sampling ends at the look at which these votes were drawn."""
        return votes.n == self.ns[-1] or self.certify(votes).abstain <= self.stop_at_abstention
