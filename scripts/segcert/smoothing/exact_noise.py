"""Gaussian noise that is exact in floating point: it is rounded to the grid of the image, and drawn with integers.

The proofs of randomized smoothing assume that the image x and the Gaussian noise epsilon are real numbers. A computer
rounds their sum, and the rounding depends on x. Therefore, a network can infer x from the low-order bits of x +
epsilon, and certificates become invalid (Voracek and Hein, ICLR 2023; docs/noise.md gives an example). The remedy is to
add integers. An 8-bit image consists of integers X = 255 x, and the sum of X and the integer Z = round(255 epsilon) is
exact. Because round(255 (x + epsilon)) = X + Z, a network that is evaluated on X + Z can be regarded as a network that
first rounds its input. The noise on this input is exactly Gaussian. The distribution of Z is

    P(Z = k) = Phi((k + 1/2) / s) - Phi((k - 1/2) / s),    s = 255 sigma.

Z is drawn with integer arithmetic only. A uniform 62-bit integer u is compared with the thresholds T[i] = round(2^62
Phi((i - reach - 1/2) / s)), where `reach` is the largest |Z|. The number of thresholds that do not exceed u determines
Z. No rounding depends on x. Because u has only 62 bits, the probability of an event in one draw is inexact. The error
is less than 2^-62 (2 reach + 1) times the number of values in the image. At sigma = 1, this bound is 2^-30 for an 8-bit
512x512 colour image, and 2^-22 for a 16-bit image. For n draws, the bound is n times as large.

The sum X + Z is stored as a float32 number. The type float32 represents integers up to 2^24 exactly, so s must not be
too large (see `is_sum_exact`).
"""

import dataclasses
import functools
import math
from typing import Self

import mpmath
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

BITS = 62
CELL_BITS = 16
TAIL = 9.2  # largest |Z| in standard deviations; a larger |Z| has a probability of less than 2^-62
KNOTS = 1024  # number per standard deviation; between knots, the error of the Taylor series is less than 2^-62
FINEST = 64  # groups of values are at least 1 / FINEST of a standard deviation wide
LARGEST = 2**24  # float32 represents all integers up to this value

Int = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class RoundedGaussian:
    """The distribution of Z = round(s * normal), with tables that map a uniform 62-bit integer u to values of Z.

    Neighbouring values of Z form groups of 2^shift values, which all have nearly the same probability. Therefore, the
    range of u that belongs to a group is split into two parts: an even part, which is divided equally among the values
    of the group, and a small remainder. Nearly always, the 16 leading bits of u determine the group and show that u is
    in the even part. In this case, `shift` additional random bits choose the value, and the other bits of u are not
    needed. Otherwise, the other bits of u are also drawn, and u is compared with the thresholds.

    Attributes
    ----------
    thresholds
        Array of shape (2 reach + 2,), int64: entry i is 2^62 P(Z < i - reach). The first entry is 0, and the last is
        2^62.
    reach
        Largest |Z|. The probability of larger values, which is less than 2^-62, is added to the two outermost values.
    shift
        Base-2 logarithm of the number of values in a group.
    cells
        Array of shape (2^16,), int32, indexed by the 16 leading bits of u. An entry is the number of a group if these
        bits determine the group and show that u is in its even part. Otherwise, it is -1.
    starts, evens, rests
        `starts` contains the smallest u of each group. `evens` contains, for each group, the number of integers u in
        the even part that belong to each value. The remainders of all groups are concatenated, and `rests` contains the
        position at which the part of each value begins.
    """

    thresholds: Int
    reach: int
    shift: int
    cells: npt.NDArray[np.int32]
    starts: Int
    evens: Int
    rests: Int

    @classmethod
    @functools.lru_cache(maxsize=32)
    def of(cls, s: float) -> Self:
        """Return the distribution for a standard deviation of `s` grid steps. Its tables are cached."""
        thresholds = gaussian_thresholds(s)
        reach = len(thresholds) // 2 - 1
        shift = max(0, math.ceil(math.log2(s / FINEST)))
        size = 1 << shift
        padding = -(len(thresholds) - 1) % size
        masses = np.append(np.diff(thresholds), np.zeros(padding, np.int64)).reshape(-1, size)  # (groups, size)
        evens = masses.min(axis=1)
        ends = np.cumsum(masses.sum(axis=1))
        starts = ends - masses.sum(axis=1)
        first = np.arange(2**CELL_BITS) << (BITS - CELL_BITS)
        last = first + (1 << (BITS - CELL_BITS)) - 1
        group = np.searchsorted(ends, first, side="right")
        cells = np.where(last < starts[group] + evens[group] * size, group, -1).astype(np.int32)
        rests = np.append(0, np.cumsum(masses - evens[:, None]))
        return cls(thresholds, reach, shift, cells, starts, evens, rests)

    def draw(self, shape: tuple[int, ...], bits: np.random.BitGenerator) -> npt.NDArray[np.int32]:
        """Draw independent values of Z = round(s * normal) on the CPU, from the bits of a numpy bit generator."""
        count = math.prod(shape)
        leading = bits.random_raw(-(-count // 4)).view(np.uint16)[:count]
        group = torch.from_numpy(self.cells).index_select(0, torch.from_numpy(leading.astype(np.int32))).numpy()
        undecided = np.flatnonzero(group < 0)
        tails = (bits.random_raw(len(undecided)) >> np.uint64(64 - BITS + CELL_BITS)).astype(np.int64)
        u = (leading[undecided].astype(np.int64) << (BITS - CELL_BITS)) | tails
        index = group << self.shift
        if self.shift:
            within = bits.random_raw(-(-count // 4)).view(np.uint16)[:count]
            index += within & np.uint16((1 << self.shift) - 1)
        index[undecided] = self._compare(u, index[undecided] & ((1 << self.shift) - 1))
        return (index - np.int32(self.reach)).reshape(shape)

    def _compare(self, u: Int, within: npt.NDArray[np.int32]) -> Int:
        """Return the index of the value of Z for each u. If u is in an even part, `within` chooses the value."""
        group = np.searchsorted(self.starts, u, side="right") - 1
        offset = u - self.starts[group]
        beyond = offset - (self.evens[group] << self.shift)
        value = (group << self.shift) + within
        (rest,) = np.nonzero(beyond >= 0)
        before = self.rests[group[rest] << self.shift]  # total length of the previous groups' remainders
        value[rest] = np.searchsorted(self.rests, before + beyond[rest], side="right") - 1
        return value


def is_sum_exact(s: float, levels: int) -> bool:
    """Return True if float32 represents X + Z exactly for all X = 0, ..., levels and all Z = round(s * normal)."""
    return levels + reach_of(s) <= LARGEST


def largest_scale(levels: int) -> float:
    """Return the largest s for which `is_sum_exact` is true, up to rounding in float64."""
    return (LARGEST - levels) / TAIL


def reach_of(s: float) -> int:
    """Return the largest |Z| that is drawn. A larger |Z| has a probability of less than 2^-62."""
    return math.ceil(TAIL * s)


def gaussian_thresholds(s: float) -> Int:
    """Return round(2^62 P(Z < k)) for k = -reach, ..., reach + 1, where Z = round(s * normal).

    The first threshold is 0, and the last is 2^62. The normal distribution function Phi is computed at knots with
    mpmath. Between the knots, it is computed as a Taylor series in float64. The terms of the series are so small that
    their rounding errors are below the last bit. The upper half of the thresholds follows by symmetry.
    """
    reach = reach_of(s)
    k = np.arange(-reach, 1)  # lower half: P(Z < k) = Phi((k - 1/2) / s)
    nearest = np.rint((k - 0.5) / s * KNOTS)
    high = float(np.float32(s))  # s is split into two parts; each part times a knot number is exact
    d = ((k - 0.5) * KNOTS - nearest * high - nearest * (s - high)) / (KNOTS * s)  # distance from knot to threshold
    knot, place = np.unique(nearest.astype(np.int64), return_inverse=True)
    with mpmath.workprec(120):
        at_knot = np.array([int(mpmath.nint(mpmath.ncdf(mpmath.mpf(int(k)) / KNOTS) * 2**BITS)) for k in knot])
    x_0 = nearest / KNOTS
    density = np.exp(-(x_0**2) / 2) / math.sqrt(2 * math.pi)
    hermite = (1.0, -x_0, x_0**2 - 1, -(x_0**3) + 3 * x_0, x_0**4 - 6 * x_0**2 + 3)
    added = density * sum(h * d ** (order + 1) / math.factorial(order + 1) for order, h in enumerate(hermite))
    lower = at_knot[place] + np.rint(added * 2.0**BITS).astype(np.int64)
    lower = np.maximum.accumulate(lower)  # rounding may change the order of neighbours that differ in the last bit
    lower[0] = 0
    return np.concatenate([lower, 2**BITS - lower[::-1]])


def rounded_gaussian_(out: Tensor, s: float, key: bytes) -> Tensor:
    """Fill `out`, a contiguous float32 tensor, with the integers round(s * normal) that a key determines."""
    gaussian = RoundedGaussian.of(s)
    if out.device.type == "cpu":
        bits = np.random.Philox(key=int.from_bytes(key, "big"))
        return out.copy_(torch.from_numpy(gaussian.draw(tuple(out.shape), bits)))
    generator = torch.Generator(out.device).manual_seed(int.from_bytes(key[:8], "big") >> 1)
    u = torch.randint(2**BITS, out.shape, generator=generator, device=out.device)
    return out.copy_(torch.searchsorted(_thresholds_on(s, out.device), u, right=True) - 1 - gaussian.reach)


@functools.lru_cache(maxsize=32)
def _thresholds_on(s: float, device: torch.device) -> Tensor:
    return torch.from_numpy(RoundedGaussian.of(s).thresholds).to(device)
