"""Can these settings certify anything at all? Plain arithmetic, so that reading a configuration stays fast."""

import math
from collections.abc import Callable

METHODS = ("segcertify", "holm", "kfwer", "by")
WEAKER = ("kfwer", "by")  # single certified pixels may be wrong
EULER = 0.57721566490153286


class CertificationError(ValueError):
    """Settings that are out of range or cannot certify anything."""


def check_settings(tau: float, alpha: float, method: str, k: int = 1) -> None:
    """Raise CertificationError for settings out of range."""
    if not 0.5 < tau < 1:
        raise CertificationError(f"tau: found {tau}; expected above 0.5 and below 1, for example 0.75")
    if not 0 < alpha < 0.5:
        raise CertificationError(f"alpha: found {alpha}; expected above 0 and below 0.5, for example 0.001")
    if method not in METHODS:
        raise CertificationError(f"method: found {method!r}; expected one of {', '.join(METHODS)}")
    if method == "kfwer" and k < 1:
        raise CertificationError(f"k: found {k}; expected at least 1 (k wrong pixels have probability <= alpha)")


def smallest_n(pixels: int, tau: float, alpha: float, method: str = "segcertify", n0: int = 0, k: int = 1) -> int:
    """The least n with which an image of `pixels` pixels can have any certified pixel.

    Even if all votes of all pixels agree, their p-value P(Bin(n, tau) >= n) = tau^n must pass the method's easiest
    way to a first rejection. `holm` tests with all n0 + n draws.
    """
    if method == "holm":
        draws = _first(lambda n: pixels * (tau**n + (1 - tau) ** n) <= alpha, alpha / pixels, tau)
        return max(1, draws - n0)
    level = {
        "segcertify": alpha / pixels,
        "kfwer": k * alpha / pixels,
        "by": alpha / harmonic(pixels),
    }[method]
    return _first(lambda n: tau**n <= level, level, tau)


def require_feasible(
    n: int, pixels: int, tau: float, alpha: float, method: str = "segcertify", n0: int = 0, k: int = 1
) -> None:
    """Raise CertificationError for settings out of range, and when no votes whatever could certify a pixel."""
    check_settings(tau, alpha, method, k)
    if method == "kfwer" and k >= pixels:
        raise CertificationError(
            f"k: found {k}; with {pixels} pixels that allows every one to be wrong. Write a `kfwer_k` below {pixels}"
        )
    least = smallest_n(pixels, tau, alpha, method, n0, k)
    if n < least:
        raise CertificationError(
            f"`n`: found {n}; with method {method}, tau {tau} and alpha {alpha} over {pixels} pixels no pixel could "
            f"ever be certified (even {n} of {n} votes are too few). Write `n: {least}` or more"
        )


def require_intervals(draws: int, measurements: int, tau: float, alpha: float) -> None:
    """Raise CertificationError when n0 + n draws cannot bound so many measurements at once."""
    least = smallest_draws(tau, alpha / measurements) if measurements else 0
    if draws < least:
        raise CertificationError(
            f"`measurements`: {draws} draws (n0 + n) cannot bound {measurements} of them at tau {tau} and alpha "
            f"{alpha}. Raise `n` by {least - draws}, or ask for fewer"
        )


def smallest_draws(tau: float, alpha: float) -> int:
    """The least number of draws with which a median-smoothed interval exists: tau^n <= alpha / 2."""
    return math.ceil(math.log(alpha / 2) / math.log(tau))


def harmonic(count: int) -> float:
    """1 + 1/2 + ... + 1/count; beyond 100 by its asymptotic series, which errs by less than 1e-15."""
    if count <= 100:
        return math.fsum(1 / i for i in range(1, count + 1))
    return math.log(count) + EULER + 1 / (2 * count) - 1 / (12 * count**2) + 1 / (120 * count**4)


def _first(enough: Callable[[int], bool], level: float, tau: float) -> int:
    n = max(1, math.floor(math.log(level) / math.log(tau)) - 1)
    while not enough(n):
        n += 1
    return n
