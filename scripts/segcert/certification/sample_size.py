"""How many draws are needed, and what radius is possible, before anything is drawn."""

import dataclasses
import math

from scipy.stats import binom

from segcert.certification.certificate import certified_radius, radius_in_gray_levels
from segcert.certification.methods import (
    METHODS,
    CertificationError,
    check_settings,
    require_feasible,
    smallest_draws,
    smallest_n,
)

SHARES = (1.0, 0.99, 0.97, 0.95, 0.9)
POWER = 0.95


@dataclasses.dataclass(frozen=True)
class Plan:
    """What some settings need.

    Attributes
    ----------
    radius, gray_levels
        Certified l2 radius in units of pixels in [0, 1], and as RMS change in 8-bit gray levels per value.
    least_n
        The least n with which any pixel could be certified.
    least_draws
        The least number of draws with which a measurement could be certified.
    needed
        By share p of the noisy copies on which a pixel has its class: the n with which such a pixel is certified with
        probability 0.95 while no other pixel is, and once nine tenths of the pixels are. None: never, because p <= tau.
    """

    radius: float
    gray_levels: float
    least_n: int
    least_draws: int
    needed: dict[float, tuple[int, int] | None]


def plan(
    shape: tuple[int, ...],
    sigma: float,
    tau: float = 0.75,
    alpha: float = 0.001,
    method: str = "segcertify",
    n0: int = 10,
    k: int = 10,
) -> Plan:
    """Plan the certification of an image of a shape, (H, W) or (C, H, W).

    Raises CertificationError for settings out of range.

    Example
    -------
    >>> from segcert.certification.sample_size import plan
    >>> planned = plan((1, 256, 256), sigma=0.25)
    >>> planned.least_n, round(planned.radius, 3)
    (63, 0.169)
    >>> planned.needed[0.97]
    (124, 114)
    """
    check_settings(tau, alpha, method, k)
    if not 0 < sigma < math.inf:
        raise CertificationError(f"sigma: found {sigma}; expected above 0, in units of pixels in [0, 1]")
    pixels = math.prod(shape[-2:])
    least_n = smallest_n(pixels, tau, alpha, method, n0, k)
    require_feasible(least_n, pixels, tau, alpha, method, n0, k)
    used = n0 if METHODS[method].all_draws else 0

    def needed(share: float) -> tuple[int, int]:
        first, last = (
            max(least_n, draws_needed(share, tau, METHODS[method].level(pixels, certified, alpha, k)) - used)
            for certified in (0, int(0.9 * pixels))
        )
        return first, last

    return Plan(
        radius=certified_radius(sigma, tau),
        gray_levels=radius_in_gray_levels(certified_radius(sigma, tau), math.prod(shape)),
        least_n=least_n,
        least_draws=smallest_draws(tau, alpha),
        needed={share: needed(share) if share > tau else None for share in SHARES},
    )


def draws_needed(share: float, tau: float, level: float) -> int:
    """An n with which a pixel that has its class on a share > tau of the copies passes a test at a level.

    It passes with probability 0.95, and with n - 1 draws it does not. By bisection: since counts are whole, the power
    is no monotone function of n, and a slightly smaller n may do as well.
    """
    high = 1
    while not _passes(high, share, tau, level):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _passes(middle, share, tau, level) else (middle, high)
    return high


def _passes(n: int, share: float, tau: float, level: float) -> bool:
    """Whether a test of level `level` with n draws certifies the pixel with probability POWER."""
    threshold = binom.isf(level, n, tau) + 1  # least c with P(Bin(n, tau) >= c) <= level
    return bool(threshold <= n and binom.sf(threshold - 1, n, share) >= POWER)
