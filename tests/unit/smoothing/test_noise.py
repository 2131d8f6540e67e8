import math
import re
from fractions import Fraction
from typing import get_args

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats

import segcert
from segcert.config.sections import Sigma
from segcert.smoothing.exact_noise import BITS, TAIL, RoundedGaussian, gaussian_thresholds, rounded_gaussian_
from segcert.smoothing.noise import Noise, SamplingError, draw_key
from segcert.smoothing.sampler import SmoothedSegmenter

SCALES = [0.1 * 255, 0.25 * 255, 255.0, 0.25 * 4095, 4095.0, 0.25 * 65535, 65535.0]
DRAWN = 400_000


def draws_of(s, count=DRAWN, seed=1):
    return RoundedGaussian.of(s).draw((count,), np.random.Philox(seed))


@pytest.mark.parametrize("s", SCALES)
def test_thresholds_are_the_exact_probabilities(s):
    """Compare with mpmath at 200 bits, at random places and both ends: equal within one unit of 2^-62."""
    thresholds = gaussian_thresholds(s)
    reach = len(thresholds) // 2 - 1
    assert thresholds[0] == 0
    assert thresholds[-1] == 2**BITS
    assert (np.diff(thresholds) >= 0).all()
    for k in [*np.random.default_rng(0).integers(-reach + 1, reach + 1, 60), 0, 1, -reach + 1, reach]:
        with mpmath.workprec(200):
            exact = mpmath.ncdf((mpmath.mpf(int(k)) - 0.5) / mpmath.mpf(s)) * 2**BITS
            assert abs(int(thresholds[k + reach]) - exact) <= 2, k


@pytest.mark.parametrize("s", SCALES)
def test_exact_noise_has_the_exact_probabilities(s):
    """Compare 400,000 values with P(Z = k) by chi-square, in bins of at least 50. A case fails once in 10,000."""
    gaussian = RoundedGaussian.of(s)
    probability = np.diff(gaussian.thresholds) / 2.0**BITS
    observed = np.bincount(draws_of(s) + gaussian.reach, minlength=len(probability))
    edges = np.unique(np.searchsorted(np.cumsum(probability) * DRAWN, np.arange(0, DRAWN, 50)))
    expected = np.add.reduceat(probability, edges) * DRAWN
    counted = np.add.reduceat(observed, edges)
    counted, expected = counted[expected >= 25], expected[expected >= 25]
    statistic = ((counted - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, len(expected)) > 1e-4


@pytest.mark.parametrize("s", SCALES)
def test_the_last_bits_of_exact_noise_are_those_of_a_rounded_gaussian(s):
    """Compare values modulo 32 with their exact probabilities, which tests the groups of the tables."""
    gaussian = RoundedGaussian.of(s)
    values = np.arange(-gaussian.reach, gaussian.reach + 1)
    probability = np.bincount(values % 32, weights=np.diff(gaussian.thresholds) / 2.0**BITS, minlength=32)
    observed = np.bincount(draws_of(s, seed=2) % 32, minlength=32)
    assert stats.chisquare(observed, probability * DRAWN).pvalue > 1e-4


@pytest.mark.parametrize("s", SCALES)
def test_tables_account_for_all_probability(s):
    """The even parts and rests of the groups add up to the thresholds, value by value."""
    gaussian = RoundedGaussian.of(s)
    rests = np.diff(gaussian.rests)
    masses = rests + np.repeat(gaussian.evens, 1 << gaussian.shift)
    assert np.array_equal(masses[: len(gaussian.thresholds) - 1], np.diff(gaussian.thresholds))
    assert (masses[len(gaussian.thresholds) - 1 :] == 0).all()
    assert np.array_equal(np.cumsum(masses)[(1 << gaussian.shift) - 1 :: 1 << gaussian.shift][:-1], gaussian.starts[1:])


def test_undecided_values_follow_the_thresholds():
    """Without groups (shift 0), the value of u is the number of thresholds up to u, at and around every threshold."""
    gaussian = RoundedGaussian.of(20.0)
    assert gaussian.shift == 0
    inner = gaussian.thresholds[1:-1]
    u = np.concatenate([inner - 1, inner, inner + 1])
    expected = np.searchsorted(gaussian.thresholds, u, side="right") - 1
    assert np.array_equal(gaussian._compare(u, np.zeros(len(u), np.int32)), expected)
    decided = np.flatnonzero(gaussian.cells >= 0)
    low = decided << (BITS - 16)
    for end in (low, low + (1 << (BITS - 16)) - 1):
        assert np.array_equal(np.searchsorted(gaussian.thresholds, end, side="right") - 1, gaussian.cells[decided])


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_exact_copies_are_on_the_grid_of_the_image(bits):
    levels = 2**bits - 1
    image = np.random.default_rng(0).integers(0, levels + 1, (1, 16, 16)) / np.float32(levels)
    noise = Noise(0.5, kind="exact", bits=bits)
    noise.check(image.astype(np.float32))
    copies = noise.copies(torch.from_numpy(image.astype(np.float32)), "x", [("estimation", 0)], 2)
    steps = copies[0].double().numpy() * levels
    assert np.abs(steps - steps.round()).max() < 0.1
    assert copies[0].std() == pytest.approx(0.58, abs=0.1)
    assert torch.equal(copies[1], copies[0])


def test_exact_noise_is_reproducible_and_nearly_scales_with_sigma():
    fill = {s: rounded_gaussian_(torch.empty(5000), s, draw_key(0, "x", "estimation", 3)) for s in (51.0, 255.0)}
    again = rounded_gaussian_(torch.empty(5000), 51.0, draw_key(0, "x", "estimation", 3))
    assert torch.equal(fill[51.0], again)
    assert torch.corrcoef(torch.stack(list(fill.values())))[0, 1] > 0.999, "the same draw serves every sigma"
    other = rounded_gaussian_(torch.empty(5000), 51.0, draw_key(0, "x", "estimation", 4))
    assert abs(torch.corrcoef(torch.stack([again, other]))[0, 1]) < 0.06


def leaky_model(x):
    """Return class 1 everywhere if a value near 0 has low-order bits that 1/255 + noise cannot have."""
    v = x.double()
    fine = ((v.abs() < 2.0**-9) & ((v * 2.0**32).round() != v * 2.0**32)).flatten(1).any(dim=1)
    logit = fine.float()[:, None, None, None].expand(-1, 1, *x.shape[2:])
    return torch.cat([1 - logit, logit], dim=1)


def contradiction(noise):
    """Return True if two images closer than the radius (black and gray level 1) get different certified classes."""
    labels = []
    for value in (0.0, 1 / 255):
        image = np.full((1, 32, 32), value, np.float32)
        votes = SmoothedSegmenter(leaky_model, 0.25, 2, noise=noise).sample(image, 10, 100)
        certificate = segcert.certify(votes, tau=0.75, alpha=0.001)
        assert certificate.radius > 32 / 255, "the two images are closer than the radius"
        labels.append(int(certificate.labels[0, 0]))
    return {0, 1} <= set(labels)


def test_a_network_can_get_a_false_certificate_with_float_noise_but_not_with_exact_noise():
    """The example of docs/noise.md (after Voracek and Hein, ICLR 2023)."""
    assert contradiction("normal")
    assert not contradiction("exact")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "uniform"}, "noise: found 'uniform'; expected one of normal, exact"),
        ({"bits": 17}, "bits: found 17"),
        ({"sigma": 0.0}, "sigma: found 0.0"),
    ],
)
def test_noise_out_of_range_is_refused(options, message):
    with pytest.raises(SamplingError, match=message):
        Noise(**({"sigma": 0.5} | options))


def test_an_image_off_the_grid_is_refused_for_exact_noise():
    image = np.full((1, 4, 4), 0.5, np.float32)
    with pytest.raises(SamplingError, match="not multiples of 1/255"):
        SmoothedSegmenter(leaky_model, 0.25, 2, noise="exact").sample(image)


def last_sigma(bits):
    """Return the largest float sigma for which reach + levels <= 2^24, found by bisection over Noise's own answers."""
    low, high = 1.0, 2.0**25
    while (middle := (low + high) / 2) not in (low, high):
        try:
            Noise(middle, kind="exact", bits=bits)
            low = middle
        except SamplingError:
            high = middle
    return low, high


@pytest.mark.parametrize("bits", [1, 8, 12, 16])
def test_exact_noise_at_the_largest_sigma_is_exact_and_a_larger_one_is_refused(bits, monkeypatch):
    """X + Z of the extreme values passes float32 unchanged, up to the division, and one step more would not."""
    levels = 2**bits - 1
    allowed, refused = last_sigma(bits)
    reach = math.ceil(Fraction(TAIL) * Fraction(allowed * levels))
    assert reach + levels == 2**24
    extremes = [-reach, -reach + 1, reach - 1, reach]
    drawn = iter(extremes)
    monkeypatch.setattr("segcert.smoothing.noise.rounded_gaussian_", lambda out, *_: out.fill_(next(drawn)))
    image = torch.tensor([[[0.0, (levels - 1) / levels, 1.0]]])
    copies = Noise(allowed, kind="exact", bits=bits).copies(image, "x", [("estimation", k) for k in range(4)], 4)
    for copy, z in zip(copies, extremes, strict=True):
        sums = [x + z for x in (0, levels - 1, levels)]
        assert [int(np.float32(each)) for each in sums] == sums
        assert copy.flatten().tolist() == [float(np.float32(each) / np.float32(levels)) for each in sums]
    assert int(np.float32(levels + reach + 1)) != levels + reach + 1
    with pytest.raises(SamplingError, match=rf"sigma: found .* {bits}-bit images .*expected at most") as error:
        Noise(refused, kind="exact", bits=bits)
    named = float(re.search(r"expected at most ([\d.]+),", str(error.value))[1])
    assert allowed - 0.01 < named <= allowed
    Noise(refused, bits=bits)


def test_every_sigma_of_a_configuration_is_exact_at_every_depth():
    """The configuration has a limit of its own, so no job finds sigma too large for exact noise."""
    (limit,) = (each.le for each in get_args(Sigma)[1].metadata if hasattr(each, "le"))
    for bits in range(1, 17):
        Noise(limit, kind="exact", bits=bits)
