"""Draw images and masks for any data set: gray phantoms or coloured blobs."""

import functools
import hashlib
from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from segcert.data.catalogue import Dataset
from segcert.data.pairs import Pair, SearchResult
from segcert.data.phantom import LUNGS, draw_phantom
from segcert.data.raster import Raster


def find_images(about: Dataset, counts: Mapping[str, int], size: int) -> SearchResult:
    """Return `counts[split]` images of size x size pixels for each split. Two images form a group."""
    names = [(split, k) for split, count in counts.items() for k in range(count)]
    return SearchResult(
        [
            Pair(
                f"{about.name}_{split}_{k:04d}",
                f"{split} {k // 2}",
                functools.partial(draw_image, f"{about.name}_{split}_{k}", about, size),
                split,
            )
            for split, k in names
        ]
    )


def draw_image(name: str, about: Dataset, size: int) -> tuple[Raster, np.ndarray]:
    """Draw an image and its mask, (H, W), with class ids below len(about.classes). The name determines both."""
    rng = np.random.default_rng(seed_of(name))
    if about.channels == 1:
        image, mask = _gray(name, len(about.classes), size, rng)
    else:
        image, mask = _colour(len(about.classes), size, rng)
    return Raster(image.pixels, 8, about.pixel_size).with_bits(about.bits), mask


def seed_of(*names: object) -> int:
    """Return a seed that depends only on the given names."""
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:8], "big")


def _gray(name: str, classes: int, size: int, rng: np.random.Generator) -> tuple[Raster, np.ndarray]:
    """Draw a chest phantom whose mask contains the ids below `classes`. Ids from 3 on are ellipses at the shoulders."""
    image, mask = draw_phantom(name, size)
    drawn = np.where(mask < classes, mask, 0).astype(np.uint8)
    for class_id in range(3, classes):
        shoulder = _ellipse(size, (rng.uniform(0.14, 0.2), rng.uniform(0.28, 0.34)), (0.05, 0.14))
        drawn[shoulder | shoulder[:, ::-1]] = class_id
    if not drawn.any():
        drawn[mask > 0] = LUNGS
    return image, drawn


def _colour(classes: int, size: int, rng: np.random.Generator) -> tuple[Raster, np.ndarray]:
    """Draw a dark blob on skin. Inside it are smaller blobs, one for each further class."""
    centre = rng.uniform(0.38, 0.62, 2)
    radii = rng.uniform(0.16, 0.34, 2)
    mask = np.zeros((size, size), np.uint8)
    picture = np.empty((3, size, size))
    picture[:] = np.array([0.85, 0.62, 0.52])[:, None, None] * rng.uniform(0.85, 1.1)
    for class_id in range(1, classes):
        blob = _ellipse(size, centre, radii / class_id, wobble=rng.uniform(0, 0.15, 3))
        mask[blob] = class_id
        tone = np.array([0.45, 0.25, 0.2]) * rng.uniform(0.7, 1.2) / class_id
        soft = ndimage.gaussian_filter(blob.astype(float), size / 64)
        picture = picture * (1 - soft) + tone[:, None, None] * soft
    picture += rng.normal(0, 0.02, picture.shape)
    return Raster(np.rint(picture.clip(0, 1) * 255).astype(np.uint16), 8), mask


def _ellipse(size: int, centre: object, radii: object, wobble: object = (0, 0, 0)) -> np.ndarray:
    y, x = (np.indices((size, size)) + 0.5) / size
    dy, dx = (y - centre[0]) / radii[0], (x - centre[1]) / radii[1]
    angle = np.arctan2(dy, dx)
    edge = 1 + sum(share * np.sin((2 + k) * angle) for k, share in enumerate(wobble))
    return np.asarray(np.hypot(dy, dx) < edge)
