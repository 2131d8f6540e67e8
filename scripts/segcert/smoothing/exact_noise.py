"""Gaussian noise that is exact on a computer: rounded to the image's own grid, drawn by integer arithmetic.

Randomized smoothing proves things about x + epsilon with real numbers. A computer adds rounded numbers, and the
rounding depends on x: a network can read x off the low-order bits of x + epsilon, and certificates become false
(Voracek and Hein, ICLR 2023; docs/noise.md has an example). The remedy: an 8-bit image holds the integers X = 255 x,
and to add Z = round(255 epsilon) to them is exact. Since round(255 (x + epsilon)) = X + Z, the network behind this
rounding is smoothed by exactly Gaussian noise. The probabilities of Z are known,

    P(Z = k) = Phi((k + 1/2) / s) - Phi((k - 1/2) / s),    s = 255 sigma,

and Z is drawn from integers alone: as the number of thresholds T[i] = round(2^62 Phi((i - reach - 1/2) / s)) that do
not exceed a uniform 62-bit integer u. No rounding depends on x. What the 62 bits leave out changes the probability of
any event of one draw by less than (values of the image) * (2 reach + 1) * 2^-62: 2^-30 for a 512x512 colour image of
8 bits at sigma = 1, and 2^-22 for one of 16 bits; of n draws by n times that.
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
TAIL = 9.2  # standard deviations: beyond lies less than 2^-62
KNOTS = 1024  # per standard deviation: from one to the next, the Taylor series errs by less than 2^-62
FINEST = 64  # groups of equal probability are no narrower than this part of a standard deviation

Int = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class RoundedGaussian:
    """The distribution of round(s * normal), and tables that turn uniform bits into its numbers.

    The values are taken in groups of 2^shift neighbours. Within a group nearly all probability is spread evenly, and
    the rest lies behind it: the u of a group are [even part | rest]. The 16 leading bits of u nearly always decide
    the group and that u lies in its even part; then `shift` more random bits choose the value, whatever the rest of
    u is. Otherwise the rest of u is drawn, and compared with the thresholds.

    Attributes
    ----------
    thresholds
        (2 reach + 2,) int64: 2^62 P(Z < i - reach); the first is 0, the last 2^62.
    reach
        |Z| <= reach. The probability beyond, less than 2^-62, is added at the ends.
    shift
        Base-2 logarithm of the group size.
    cells
        (2^16,) int32: the group that the 16 leading bits of u decide, or -1.
    starts, evens, rests
        For each group: its smallest u, and the probability (times 2^62) of each of its values in the even part. For
        each value: where its share begins in the rests of all groups, put in a row.
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
        """The tables for a standard deviation `s`, in steps of the grid. The same s gives the same object."""
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
        """Independent values of Z, from the words of a bit generator (numpy, on the CPU)."""
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
        """The number of the value that each u stands for; `within` chooses it where u lies in an even part."""
        group = np.searchsorted(self.starts, u, side="right") - 1
        offset = u - self.starts[group]
        beyond = offset - (self.evens[group] << self.shift)
        value = (group << self.shift) + within
        (rest,) = np.nonzero(beyond >= 0)
        before = self.rests[group[rest] << self.shift]  # rests of the groups before
        value[rest] = np.searchsorted(self.rests, before + beyond[rest], side="right") - 1
        return value


def gaussian_thresholds(s: float) -> Int:
    """round(2^62 P(Z < k)) for k = -reach, ..., reach + 1, Z = round(s * normal); the first is 0, the last 2^62.

    mpmath gives Phi at knots; from there a Taylor series reaches the thresholds between, in float64: what it adds is
    so small that its rounding stays below the last bit. The upper half follows by symmetry.
    """
    reach = math.ceil(TAIL * s)
    k = np.arange(-reach, 1)  # lower half: P(Z < k) = Phi((k - 1/2) / s)
    nearest = np.rint((k - 0.5) / s * KNOTS)
    high = float(np.float32(s))  # s in two parts, whose products with a knot's number are exact
    d = ((k - 0.5) * KNOTS - nearest * high - nearest * (s - high)) / (KNOTS * s)  # from knot to threshold
    knot, place = np.unique(nearest.astype(np.int64), return_inverse=True)
    with mpmath.workprec(120):
        at_knot = np.array([int(mpmath.nint(mpmath.ncdf(mpmath.mpf(int(k)) / KNOTS) * 2**BITS)) for k in knot])
    x_0 = nearest / KNOTS
    density = np.exp(-(x_0**2) / 2) / math.sqrt(2 * math.pi)
    hermite = (1.0, -x_0, x_0**2 - 1, -(x_0**3) + 3 * x_0, x_0**4 - 6 * x_0**2 + 3)
    added = density * sum(h * d ** (order + 1) / math.factorial(order + 1) for order, h in enumerate(hermite))
    lower = at_knot[place] + np.rint(added * 2.0**BITS).astype(np.int64)
    lower = np.maximum.accumulate(lower)  # rounding may swap neighbours that differ by the last bit
    lower[0] = 0
    return np.concatenate([lower, 2**BITS - lower[::-1]])


def rounded_gaussian_(out: Tensor, s: float, key: bytes) -> Tensor:
    """Fill `out` (contiguous float32) with the values of Z, which float32 holds exactly, that belong to a key."""
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
