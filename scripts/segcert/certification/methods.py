"""Certification methods, with their tests and guarantees, and checks that settings can certify at least one pixel.

The configuration imports this module, so it must not import numpy. Therefore, each function imports the correction
that it uses.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segcert.certification.multiple_testing import Histogram

EXACT = "with probability at least 1 - alpha, no pixel of the image is certified wrongly"


class CertificationError(ValueError):
    """Error raised for settings that are out of range, or that cannot certify anything."""


@dataclass(frozen=True)
class Method:
    """A certification method: a test for each pixel, with a correction for multiple testing.

    Attributes
    ----------
    name
        Name in the configuration and in `certify`.
    guarantee
        Text of the guarantee, as stated in certificates.
    weaker
        True if the guarantee allows some certified pixels to be wrong. A certificate with such a guarantee implies
        neither a lower bound on Dice nor an interval for an area.
    all_draws
        True if the class of a pixel is both chosen and tested on all n0 + n draws. Otherwise, the class is chosen from
        the n0 draws and tested on the n draws.
    expected_share
        True if alpha bounds the expected share of wrong pixels. False if it bounds the probability that the guarantee
        fails.
    takes_k
        True if the guarantee depends on the parameter k.
    step_up
        True for a step-up procedure, False for a step-down procedure. Both test pixels in order of increasing p-value.
        A step-up procedure certifies all pixels up to the last pixel that passes its test. A step-down procedure
        certifies all pixels before the first pixel that fails its test.
    threshold
        Function of the histogram of counts, shape (n + 1,), the number n of tested draws, tau, alpha and k. It returns
        the smallest count with which a pixel is certified, or n + 1 if no pixel is.
    level
        Function of the number of pixels, the number of pixels already certified, alpha and k. It returns the level at
        which the next pixel is tested.
    """

    name: str
    guarantee: str
    threshold: Callable[["Histogram", int, float, float, int], int]
    level: Callable[[int, int, float, int], float]
    weaker: bool = False
    all_draws: bool = False
    expected_share: bool = False
    takes_k: bool = False
    step_up: bool = False


def _segcertify_threshold(histogram: "Histogram", n: int, tau: float, alpha: float, k: int) -> int:
    from segcert.certification.multiple_testing import holm_threshold, p_value_table

    return holm_threshold(histogram, p_value_table(n, tau), alpha)


def _holm_threshold(histogram: "Histogram", n: int, tau: float, alpha: float, k: int) -> int:
    from segcert.certification.multiple_testing import selection_free_threshold

    return selection_free_threshold(histogram, n, tau, alpha)


def _kfwer_threshold(histogram: "Histogram", n: int, tau: float, alpha: float, k: int) -> int:
    from segcert.certification.multiple_testing import kfwer_threshold, p_value_table

    return kfwer_threshold(histogram, p_value_table(n, tau), alpha, k)


def _by_threshold(histogram: "Histogram", n: int, tau: float, alpha: float, k: int) -> int:
    from segcert.certification.multiple_testing import by_threshold, p_value_table

    return by_threshold(histogram, p_value_table(n, tau), alpha)


def _holm_level(pixels: int, certified: int, alpha: float, k: int) -> float:
    return alpha / (pixels - certified)


def _kfwer_level(pixels: int, certified: int, alpha: float, k: int) -> float:
    return k * alpha / (pixels + k - max(certified + 1, k))


def _by_level(pixels: int, certified: int, alpha: float, k: int) -> float:
    from segcert.certification.multiple_testing import harmonic

    return (certified + 1) * alpha / (pixels * harmonic(pixels))


SEGCERTIFY = Method("segcertify", EXACT, _segcertify_threshold, _holm_level)
HOLM = Method("holm", EXACT, _holm_threshold, _holm_level, all_draws=True)
KFWER = Method(
    "kfwer",
    "with probability at least 1 - alpha, fewer than k pixels of the image are certified wrongly",
    _kfwer_threshold,
    _kfwer_level,
    weaker=True,
    takes_k=True,
)
BY = Method(
    "by",
    "of the certified pixels of the image, at most the share alpha is expected to be certified wrongly",
    _by_threshold,
    _by_level,
    weaker=True,
    expected_share=True,
    step_up=True,
)
METHODS = {method.name: method for method in (SEGCERTIFY, HOLM, KFWER, BY)}


def check_settings(tau: float, alpha: float, method: str, k: int = 1) -> None:
    """Raise CertificationError if a setting is out of range."""
    if not 0.5 < tau < 1:
        raise CertificationError(f"tau: found {tau}; expected a value above 0.5 and below 1, for example 0.75")
    if not 0 < alpha < 0.5:
        raise CertificationError(f"alpha: found {alpha}; expected a value above 0 and below 0.5, for example 0.001")
    if method not in METHODS:
        raise CertificationError(f"method: found {method!r}; expected one of {', '.join(METHODS)}")
    if METHODS[method].takes_k and k < 1:
        raise CertificationError(
            f"k: found {k}; expected at least 1 (alpha bounds the probability of k or more wrong pixels)"
        )


def smallest_n(pixels: int, tau: float, alpha: float, method: str = "segcertify", n0: int = 0, k: int = 1) -> int:
    """Return the smallest n with which a pixel can be certified in an image of `pixels` pixels.

    In the best case, all votes at every pixel agree. Then the p-value of each pixel is P(Bin(n, tau) >= n) = tau^n. It
    must not exceed the largest level at which the method can reject the first hypothesis.
    """
    level = METHODS[method].level(pixels, pixels - 1 if METHODS[method].step_up else 0, alpha, k)
    if METHODS[method].all_draws:  # part of alpha is needed for wrong classes: see `selection_free_threshold`
        draws = _first(lambda n: pixels * (tau**n + (1 - tau) ** n) <= alpha, level, tau)
        return max(1, draws - n0)
    return _first(lambda n: tau**n <= level, level, tau)


def require_feasible(
    n: int,
    pixels: int,
    tau: float,
    alpha: float,
    method: str = "segcertify",
    n0: int = 0,
    k: int = 1,
    looks: Sequence[int] = (),
) -> None:
    """Raise CertificationError if a setting is out of range, or if `n` is too small to certify any pixel.

    Planned looks share alpha and must be in increasing order. In this case, `n` is one of the looks: before the first
    draw, it is the first look.
    """
    check_settings(tau, alpha, method, k)
    if any(earlier >= later for earlier, later in itertools.pairwise(looks)):
        raise CertificationError(
            f"`looks`: found {list(looks)}; expected numbers of draws in increasing order, without repetition. Write "
            f"`looks: {sorted(set(looks))}`"
        )
    if METHODS[method].takes_k and k >= pixels:
        raise CertificationError(
            f"k: found {k}, which allows all {pixels} pixels to be wrong. Set `kfwer_k` to a number below {pixels}"
        )
    least = smallest_n(pixels, tau, alpha_per_look(alpha, looks), method, n0, k)
    if n < least:
        raise CertificationError(
            f"`{'looks' if looks else 'n'}`: found {n}, but with method {method}, tau {tau}, alpha {alpha}"
            f"{_shared(looks)} and {pixels} pixels, no pixel can be certified, even if all {n} votes agree. "
            f"Write {least if looks else f'`n: {least}`'} or a larger number"
        )


def alpha_per_look(alpha: float, looks: Sequence[int]) -> float:
    """Return alpha divided equally among the planned looks, or all of alpha if there are no looks."""
    return alpha / max(1, len(looks))


def parse_looks(text: str) -> tuple[int, ...]:
    """Parse planned looks such as "60,110,300". For an empty text, return an empty tuple.

    Raises CertificationError for any other text.
    """
    try:
        looks = tuple(int(each) for each in text.split(",")) if text else ()
    except ValueError:
        looks = (0,)
    if min(looks, default=1) < 1:
        raise CertificationError(
            f"looks: found {text!r}; expected numbers of draws separated by commas, for example 60,110,300"
        )
    return looks


def require_intervals(
    n: int, measurements: int, tau: float, alpha: float, n0: int = 0, looks: Sequence[int] = ()
) -> None:
    """Raise CertificationError if n0 + n draws are too few to certify several measurements simultaneously.

    Planned looks share alpha. In this case, `n` is the first look.
    """
    draws, level = n0 + n, alpha_per_look(alpha, looks)
    least = smallest_draws(tau, level / measurements) if measurements else 0
    if draws < least:
        raise CertificationError(
            f"`measurements`: found {draws} draws (n0 + n), which are too few to certify {measurements} measurements "
            f"at tau {tau} and alpha {alpha}{_shared(looks)}. Increase {'the first look' if looks else '`n`'} by "
            f"{least - draws}, or remove measurements"
        )


def smallest_draws(tau: float, alpha: float) -> int:
    """Return the smallest number of draws with which a median can be certified: the least n with tau^n <= alpha / 2."""
    return math.ceil(math.log(alpha / 2) / math.log(tau))


def _shared(looks: Sequence[int]) -> str:
    return f", which {len(looks)} looks share," if len(looks) > 1 else ""


def _first(enough: Callable[[int], bool], level: float, tau: float) -> int:
    n = max(1, math.floor(math.log(level) / math.log(tau)) - 1)
    while not enough(n):
        n += 1
    return n
