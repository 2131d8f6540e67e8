"""Draw synthetic chest X-rays with lungs and heart. They are the default data set, which needs no download.

An image depends only on its split and its number in that split. Values are computed in float64 and rounded to 8 bits at
the end, so the files are identical on every machine. Coordinates are in [0, 1]: x increases from left to right, y from
top to bottom.
"""

import functools
import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from segcert.data.pairs import Pair, SearchResult
from segcert.data.raster import Labels, Raster

Field = npt.NDArray[np.float64]
Rng = np.random.Generator
Extent = tuple[float, float]

LUNGS, HEART = 1, 2
OVERSAMPLING = 2


def find_phantoms(counts: Mapping[str, int], size: int) -> SearchResult:
    """Return `counts[split]` phantoms of size x size pixels for each split. Each phantom forms a group of its own."""
    names = {f"phantom_{split}_{k:04d}": split for split, count in counts.items() for k in range(count)}
    return SearchResult(
        [Pair(name, name, functools.partial(draw_phantom, name, size), split) for name, split in sorted(names.items())]
    )


def draw_phantom(name: str, size: int) -> tuple[Raster, Labels]:
    """Draw the phantom with the given name: an 8-bit image and its mask, both size x size pixels.

    In the mask, 0 is the background, 1 is the lungs, and 2 is the heart, which is drawn on top of the lungs. The name
    determines the anatomy (position, size, tilt and outline of lungs and heart; ribs, spine, clavicles and diaphragm),
    the exposure, the texture and the noise.
    """
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
    rng = np.random.Generator(np.random.Philox(key=key))
    fine = size * OVERSAMPLING
    y, x = np.meshgrid(*2 * [(np.arange(fine) + 0.5) / fine], indexing="ij")
    middle, top = rng.uniform(0.47, 0.53), rng.uniform(0.10, 0.18)

    body = _blob(x, y, rng, (middle, 0.62), (rng.uniform(0.42, 0.48), 0.62), power=3.0, wobble=0.02)
    base = rng.uniform(0.74, 0.84)
    lungs = [_lung(x, y, rng, middle, side, top, base) for side in (-1, 1)]
    center = (middle + rng.uniform(0.03, 0.08), base - rng.uniform(0.12, 0.18))
    radii = (rng.uniform(0.12, 0.23), rng.uniform(0.11, 0.16))  # cardiothoracic ratios from 0.35 to 0.66
    heart = _blob(x, y, rng, center, radii, power=2.2, wobble=0.06, tilt=rng.uniform(0.2, 0.7))

    air = np.maximum(*(_soft(lung, fine) for lung in lungs))
    pixels = 0.08 + rng.uniform(0.50, 0.60) * _soft(body, fine)
    pixels -= rng.uniform(0.26, 0.34) * air * (0.85 + 0.3 * y)
    pixels += rng.uniform(0.16, 0.24) * np.exp(-(((x - middle) / rng.uniform(0.045, 0.06)) ** 2))
    pixels += rng.uniform(0.20, 0.26) * _soft(heart, fine) * (0.35 + 0.65 * air)
    pixels += rng.uniform(0.05, 0.09) * _ribs(x, y, rng, middle) * _soft(body, fine)
    pixels += rng.uniform(0.06, 0.10) * _clavicles(x, y, rng, middle, top)
    pixels += 0.05 * air * _texture(rng, fine, scale=fine / 40) + 0.03 * _texture(rng, fine, scale=fine / 6)

    exposure, gamma = rng.uniform(0.92, 1.10), rng.uniform(0.85, 1.2)
    pixels = np.clip(exposure * pixels, 0.0, 1.0) ** gamma
    pixels = _shrink(pixels) + rng.normal(0.0, 0.012, (size, size))

    lung_share = _shrink((np.minimum(*lungs) < 1).astype(float))
    heart_share = _shrink((heart < 1).astype(float))
    mask = np.where(heart_share >= 0.5, HEART, np.where(lung_share >= 0.5, LUNGS, 0)).astype(np.uint8)
    image = np.rint(255 * np.clip(pixels, 0.0, 1.0)).astype(np.uint16)
    return Raster(image[None], 8), mask


def _blob(
    x: Field, y: Field, rng: Rng, center: Extent, radii: Extent, power: float, wobble: float, tilt: float = 0.0
) -> Field:
    """Return the level function (below 1 inside, above 1 outside) of a superellipse with a slightly wavy outline."""
    u, v = x - center[0], y - center[1]
    u, v = np.cos(tilt) * u + np.sin(tilt) * v, np.cos(tilt) * v - np.sin(tilt) * u
    angle = np.arctan2(v, u)
    waves = sum(rng.normal() / order * np.cos(order * angle + rng.uniform(0, 2 * np.pi)) for order in (2, 3, 4, 5))
    level = (np.abs(u / radii[0]) ** power + np.abs(v / radii[1]) ** power) ** (1 / power)
    return np.asarray(level / (1 + wobble * waves))


def _lung(x: Field, y: Field, rng: np.random.Generator, middle: float, side: int, top: float, base: float) -> Field:
    """Return the level function of a lung, which is below 1 inside the lung.

    The lung is narrow at the apex and domed at the base.

    `side` is -1 for the lung on the left of the image and 1 for the lung on the right.
    """
    height = (base + rng.uniform(-0.03, 0.03) - top) / 2
    center = (middle + side * rng.uniform(0.19, 0.22), top + height)
    narrowing = 1 - 0.45 * np.clip((center[1] - y) / height, 0, 1) ** 2
    dome = (
        np.clip((y - center[1]) / height, 0, None) ** 4
        * np.exp(-(((x - center[0]) / 0.10) ** 2))
        * rng.uniform(0.15, 0.35)
    )
    inner = (x - center[0]) / narrowing + center[0]
    radii = (rng.uniform(0.13, 0.165), height)
    return _blob(inner, y, rng, center, radii, power=2.4, wobble=0.04, tilt=-side * rng.uniform(0.02, 0.12)) + dome


def _ribs(x: Field, y: Field, rng: np.random.Generator, middle: float) -> Field:
    """Return the brightness of the ribs: arcs that slope down from the spine."""
    spacing, bend, phase = rng.uniform(0.075, 0.095), rng.uniform(0.5, 0.9), rng.uniform(0, 1)
    arc = y - bend * (x - middle) ** 2 - rng.uniform(0.1, 0.25) * np.abs(x - middle)
    return np.asarray(np.clip(np.sin(2 * np.pi * (arc / spacing + phase)), 0.2, 1.0) * (np.abs(x - middle) > 0.05))


def _clavicles(x: Field, y: Field, rng: np.random.Generator, middle: float, top: float) -> Field:
    """Return the brightness of the clavicles: two slanting bars above the lung apices."""
    slope, height = rng.uniform(0.15, 0.35), top + rng.uniform(0.03, 0.07)
    line = y - height + slope * np.abs(x - middle)
    return np.asarray(np.exp(-((line / 0.018) ** 2)) * (np.abs(x - middle) > 0.06) * (np.abs(x - middle) < 0.36))


def _texture(rng: np.random.Generator, fine: int, scale: float) -> Field:
    """Return smooth noise with unit variance that is correlated over about `scale` pixels."""
    noise = ndimage.gaussian_filter(rng.normal(size=(fine, fine)), scale, mode="wrap")
    return np.asarray(noise / noise.std())


def _soft(level: Field, fine: int) -> Field:
    """Return an image that is 1 inside an outline and 0 outside, with a soft edge that is about two pixels wide.

    `level` is the level function of the outline.
    """
    return np.asarray(1 / (1 + np.exp(np.clip((level - 1) * fine / 6, -60, 60))))


def _shrink(pixels: Field) -> Field:
    """Reduce the resolution by averaging blocks of OVERSAMPLING x OVERSAMPLING pixels."""
    size = pixels.shape[0] // OVERSAMPLING
    return np.asarray(pixels.reshape(size, OVERSAMPLING, size, OVERSAMPLING).mean(axis=(1, 3)))
