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
    few enough pixels abstain, or at the last look. The certificate of this look is the result. By the union bound, the
    probability that the certificate of any look is wrong is at most alpha. This is true for every rule that ends
    sampling. Therefore, `stop_at_abstention` may even be chosen after votes were seen, unlike all other settings.
    Under "by", the expected share of wrong pixels is at most the sum of those at all looks, and so at most alpha.

    Attributes
    ----------
    ns
        Number n of estimation draws at each look, in increasing order.
    tau
        Threshold of the test, in (0.5, 1).
    alpha
        Error rate for the whole image, in (0, 0.5). It is divided equally among the looks.
    method
        Name of the statistical method (see `certify`).
    k
        Parameter of the method "kfwer"; other methods ignore it.
    stop_at_abstention
        Share of pixels, in [0, 1]. Sampling ends at the first look at which at most this share of the pixels abstains.

    Raises
    ------
    CertificationError
        If `ns` is empty, or if `stop_at_abstention` is out of range.

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
            raise CertificationError(
                "`looks`: found an empty list; expected at least one number of draws. Write, for example, `looks: "
                "[100]`"
            )
        if not 0 <= self.stop_at_abstention <= 1:
            raise CertificationError(
                f"`stop_at_abstention`: found {self.stop_at_abstention}; expected the share of pixels that may "
                "abstain, a number from 0 to 1"
            )

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Create an instance from the parameter `looks` of a job."""
        return cls(**{**params, "ns": tuple(params["ns"])})

    def check(self, pixels: int, n0: int) -> None:
        """Raise CertificationError if no pixel could be certified at some look, in an image of `pixels` pixels."""
        require_feasible(self.ns[0], pixels, self.tau, self.alpha, self.method, n0, self.k, self.ns)

    def certify(self, votes: Votes) -> Certificate:
        """Certify an image from its votes at one of the looks. Raises the same errors as the function `certify`."""
        return certify(votes, self.tau, self.alpha, self.method, k=self.k, looks=self.ns)

    def are_over(self, votes: Votes) -> bool:
        """Return True if sampling ends at the look at which these votes were drawn."""
        return votes.n == self.ns[-1] or self.certify(votes).abstain <= self.stop_at_abstention
