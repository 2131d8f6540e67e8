"""Label maps as a smoothed network might draw them: the mask, its edges moved as far as the noise moves them."""

import functools

import numpy as np
from scipy import ndimage
from tests.tools.simulated.images import seed_of

from segcert.data.dataset import PreparedDataset

# Pixels (of 64) by which an edge moves per unit of sigma, and by which structures shrink, by regime and denoiser.
MOVES = {("clean", "none"): 9.0, ("noise", "none"): 3.0, ("clean", "ddpm"): 3.2, ("noise", "ddpm"): 2.6}
SHRINKS = {("clean", "none"): 22.0}
OTHER_MOVES, OTHER_SHRINKS = 2.2, 0.5
AT_REST = 1.0  # pixels by which an edge is off without noise
MODELS = {"unet": 1.0, "resunetpp": 0.9, "deeplabv3plus": 0.8}
SMOOTH = 3.0  # pixels over which the displacement of an edge changes


def label_maps(
    dataset: PreparedDataset, name: str, draws: int, *, model: str, regime: str, denoiser: str, sigma: float
) -> np.ndarray:
    """(draws, H, W) uint8: what a model might say of the noisy copies of an image; sigma 0 for its clean prediction."""
    mask = dataset.mask(name)
    scale = mask.shape[0] / 64 * MODELS.get(model, 1.1) * _difficulty(name)
    moves = AT_REST + MOVES.get((regime, denoiser), OTHER_MOVES) * sigma
    shrinks = SHRINKS.get((regime, denoiser), OTHER_SHRINKS) * sigma**2
    offset = np.random.default_rng(seed_of(name)).integers(0, mask.shape[0], 2)
    best = np.zeros((draws, *mask.shape), np.float32)
    labels = np.zeros((draws, *mask.shape), np.uint8)
    for class_id in range(1, len(dataset.about["classes"])):
        if not (mask == class_id).any():
            continue  # a structure that is not there is not found either: its Dice is not defined
        fields = np.roll(_fields(draws, mask.shape[0], class_id), tuple(offset), axis=(1, 2))
        score = _inside(mask == class_id) + scale * (moves * fields - shrinks)
        labels[score > best] = class_id
        np.maximum(best, score, out=best)
    return labels


def _inside(mask: np.ndarray) -> np.ndarray:
    """Distance to the edge in pixels, positive inside."""
    distance = ndimage.distance_transform_edt
    return (distance(mask) - distance(~mask)).astype(np.float32)


def _difficulty(name: str) -> float:
    """Images differ: 1 on average, some of them twice as hard."""
    return float(np.random.default_rng(seed_of("difficulty", name)).gamma(6, 1 / 6))


@functools.lru_cache(maxsize=16)
def _fields(draws: int, size: int, class_id: int) -> np.ndarray:
    """(draws, size, size) smooth random fields of standard deviation 1, the same at every call."""
    white = np.random.default_rng([draws, size, class_id]).normal(size=(draws, size, size))
    fields = ndimage.gaussian_filter(white, (0, SMOOTH, SMOOTH), mode="wrap")
    return (fields / fields.std()).astype(np.float32)
