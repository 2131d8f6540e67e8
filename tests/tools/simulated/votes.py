"""Imitate the label maps of a smoothed network: masks whose edges are displaced by the noise."""

import functools

import numpy as np
from scipy import ndimage
from tests.tools.simulated.images import seed_of

from segcert.data.dataset import PreparedDataset

# Displacement of edges per sigma and shrinkage of structures per sigma^2, by regime and denoiser. Both are in pixels of
# an image of 64x64 pixels.
MOVES = {("clean", "none"): 9.0, ("noise", "none"): 3.0, ("clean", "ddpm"): 3.2, ("noise", "ddpm"): 2.6}
SHRINKS = {("clean", "none"): 22.0}
OTHER_MOVES, OTHER_SHRINKS = 2.2, 0.5
AT_REST = 1.0  # displacement of edges without noise, in pixels
MODELS = {"unet": 1.0, "resunetpp": 0.9, "deeplabv3plus": 0.8}
SMOOTH = 3.0  # correlation length of the displacement, in pixels


def label_maps(
    dataset: PreparedDataset, name: str, draws: int, *, model: str, regime: str, denoiser: str, sigma: float
) -> np.ndarray:
    """Return label maps, (draws, H, W) uint8, for noisy copies of an image. For sigma 0, they are clean predictions."""
    mask = dataset.mask(name)
    scale = mask.shape[0] / 64 * MODELS.get(model, 1.1) * _difficulty(name)
    moves = AT_REST + MOVES.get((regime, denoiser), OTHER_MOVES) * sigma
    shrinks = SHRINKS.get((regime, denoiser), OTHER_SHRINKS) * sigma**2
    offset = np.random.default_rng(seed_of(name)).integers(0, mask.shape[0], 2)
    best = np.zeros((draws, *mask.shape), np.float32)
    labels = np.zeros((draws, *mask.shape), np.uint8)
    for class_id in range(1, len(dataset.about["classes"])):
        if not (mask == class_id).any():
            continue  # a structure that is missing from the mask is never drawn, so its Dice is undefined
        fields = np.roll(_fields(draws, mask.shape[0], class_id), tuple(offset), axis=(1, 2))
        score = _inside(mask == class_id) + scale * (moves * fields - shrinks)
        labels[score > best] = class_id
        np.maximum(best, score, out=best)
    return labels


def _inside(mask: np.ndarray) -> np.ndarray:
    """Return each pixel's signed distance to the mask's edge, in pixels: positive inside, negative outside."""
    distance = ndimage.distance_transform_edt
    return (distance(mask) - distance(~mask)).astype(np.float32)


def _difficulty(name: str) -> float:
    """Return an image's difficulty, a factor: 1 on average, up to about 2."""
    return float(np.random.default_rng(seed_of("difficulty", name)).gamma(6, 1 / 6))


@functools.lru_cache(maxsize=16)
def _fields(draws: int, size: int, class_id: int) -> np.ndarray:
    """Return smooth random fields, (draws, size, size), with standard deviation 1, determined by the arguments."""
    white = np.random.default_rng([draws, size, class_id]).normal(size=(draws, size, size))
    fields = ndimage.gaussian_filter(white, (0, SMOOTH, SMOOTH), mode="wrap")
    return (fields / fields.std()).astype(np.float32)
