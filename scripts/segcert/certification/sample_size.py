"""Planning before sampling: the number of draws that are needed, and the radius that can be certified."""

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
    """The number of draws that are needed with given settings, and the radius that is certified.

    Attributes
    ----------
    radius, gray_levels
        Certified l2 radius: `radius` for pixel values in [0, 1], and `gray_levels` as the RMS change per value in 8-bit
        gray levels.
    least_n
        Smallest n with which a pixel can be certified.
    least_draws
        Smallest number of draws with which a measurement can be certified.
    needed
        Mapping from a share p to two values of n. On the share p of the noisy copies, a pixel has its class. With
        either n, the pixel is certified with probability 0.95. The first n assumes that no other pixel is certified,
        and the second n assumes that nine tenths of the pixels are certified. If p <= tau, no n is enough, and p is
        mapped to None.
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
    """Plan the certification of an image with shape (H, W) or (C, H, W).

    `sigma` is the noise level, for pixel values in [0, 1], and `n0` is the number of selection draws. The other
    arguments are those of `certify`. Raises CertificationError if a setting is out of range.

    Examples
    --------
    >>> from segcert.certification.sample_size import plan
    >>> planned = plan((1, 256, 256), sigma=0.25)
    >>> planned.least_n, round(planned.radius, 3)
    (63, 0.169)
    >>> planned.needed[0.97]
    (124, 114)
    """
    check_settings(tau, alpha, method, k)
    if not 0 < sigma < math.inf:
        raise CertificationError(f"sigma: found {sigma}; expected a noise level above 0 (pixel values are in [0, 1])")
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
    """Return the number of draws n with which a pixel passes a test at `level` with probability 0.95 or more.

    `share` is the share of noisy copies on which the pixel has its class, and must be above tau. The number n is found
    by bisection, so n - 1 draws are too few. A still smaller number may be enough, because counts are integers and the
    power is therefore not a monotone function of n.
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
    """Return True if a test at `level` with n draws certifies the pixel with probability POWER or more."""
    threshold = binom.isf(level, n, tau) + 1  # the least c with P(Bin(n, tau) >= c) <= level
    return bool(threshold <= n and binom.sf(threshold - 1, n, share) >= POWER)
