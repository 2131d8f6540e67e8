"""Can these settings certify anything at all? Plain arithmetic, so that reading a configuration stays fast."""

import math


class CertificationError(ValueError):
    """Settings that are out of range or cannot certify anything."""


def smallest_n(pixels: int, tau: float, alpha: float) -> int:
    """The least n with which an image of `pixels` pixels can have any certified pixel.

    Even n successes of n must pass Holm's first threshold: P(Bin(n, tau) >= n) = tau^n <= alpha / pixels.
    """
    n = max(1, math.floor(math.log(alpha / pixels) / math.log(tau)))
    while tau**n > alpha / pixels:
        n += 1
    return n


def require_feasible(n: int, pixels: int, tau: float, alpha: float) -> None:
    """Raise CertificationError when no votes whatever could certify a pixel."""
    least = smallest_n(pixels, tau, alpha)
    if n < least:
        raise CertificationError(
            f"`n`: found {n}; with tau {tau} and alpha {alpha} over {pixels} pixels no pixel could ever be certified "
            f"(even {n} of {n} votes are too few). Write `n: {least}` or more"
        )
