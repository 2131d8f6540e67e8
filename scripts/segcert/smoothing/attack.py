"""An attack for testing certificates: projected gradient descent on the smoothed model (Salman et al. 2019)."""

import numpy as np
import numpy.typing as npt
import torch

from segcert.certification.certificate import ABSTAIN
from segcert.smoothing.noise import Draw, Noise, SamplingError, checked_image, image_digest
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.votes import Votes

Image = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]

STEP = 2.5  # total length of all steps, as a multiple of the norm
INSIDE = 1 - 1e-6  # keeps the perturbation inside the ball despite rounding


def weakest_pixel(votes: Votes, labels: Labels) -> tuple[int, int] | None:
    """Return the row and column of the certified pixel with the fewest votes for its class, or None if there is none.

    `labels` has shape (H, W), with ABSTAIN = 255. In a tie, the first pixel is returned. Both selection votes and
    estimation votes are counted.
    """
    certified = labels != ABSTAIN
    if not certified.any():
        return None
    total = votes.selection.astype(np.int64) + votes.estimation
    own = np.take_along_axis(total, np.where(certified, labels, 0)[None].astype(np.int64), axis=0)[0]
    row, column = np.unravel_index(np.where(certified, own, np.iinfo(np.int64).max).argmin(), labels.shape)
    return int(row), int(column)


def attack(
    smoothed: SmoothedSegmenter,
    image: npt.ArrayLike,
    votes: Votes,
    labels: Labels,
    norm: float,
    *,
    steps: int = 10,
    copies: int = 8,
) -> Image:
    """Perturb an image so that its weakest certified pixel loses its class in the smoothed model.

    The target is the certified pixel with the fewest votes for its class. Attacking one pixel succeeds more often than
    attacking all pixels simultaneously, because the gradients of different pixels cancel. Each step reduces the margin
    of the target's class along a gradient that is averaged over new noisy copies. Copies with a large margin get a low
    weight, so that large logits do not dominate the average. After each step, the perturbation is rescaled to the full
    norm, within the pixel range [0, 1].

    Parameters
    ----------
    smoothed
        The segmenter to attack. Its networks must be differentiable.
    image
        Image of shape (C, H, W), float32 in [0, 1].
    votes
        The votes of the image.
    labels
        Certified labels, shape (H, W), with ABSTAIN = 255. Only certified pixels are attacked.
    norm
        l2 norm of the perturbation, for pixel values in [0, 1]. The actual norm is smaller only if the range [0, 1] or
        the grid of the image leaves no room for more.
    steps
        Number of gradient steps.
    copies
        Number of noisy copies in each step.

    Returns
    -------
    ndarray
        The perturbed image, shape (C, H, W), float32 in [0, 1]. With `noise="exact"`, its values are on the grid of the
        image.

    Raises
    ------
    SamplingError
        If the image has a wrong shape or range, or if the votes or labels do not have its height and width.
    """
    noise = smoothed.noise
    if not isinstance(noise, Noise):
        raise SamplingError(f"attack: found the threat {noise.threat}; expected pixels, which alone it perturbs")
    pixels = checked_image(image)
    for name, shape in (("labels", labels.shape), ("votes", votes.estimation.shape[1:])):
        if shape != pixels.shape[1:]:
            raise SamplingError(f"{name}: found shape {shape}; expected {pixels.shape[1:]}, the shape of the image")
    target = weakest_pixel(votes, labels)
    if target is None or smoothed.num_classes == 1:
        return pixels
    digest, label = image_digest(pixels), int(labels[target])
    perturbed, perturbation = pixels, np.zeros(pixels.shape)
    for step in range(steps):
        draws: list[Draw] = [("attack", step * copies + k) for k in range(copies)]
        x = torch.from_numpy(perturbed).to(smoothed.device).requires_grad_(True)
        logits = smoothed.logits(noise.perturbed(x, digest, draws)).float()[:, :, *target]
        others = logits.clone()
        others[:, label] = -torch.inf
        margin = logits[:, label] - others.amax(dim=1)  # (copies,)
        unit = margin.detach().abs().mean().clamp(min=1e-12)
        (gradient,) = torch.autograd.grad(torch.sigmoid(margin / unit).mean(), x)
        downhill = gradient.double().cpu().numpy()
        downhill /= max(float(np.linalg.norm(downhill)), 1e-30)
        perturbation = perturbation - STEP * norm / steps * downhill
        perturbed = _within(pixels, perturbation, norm)
        perturbation = perturbed.astype(np.float64) - pixels
    return _within(pixels, perturbation, norm, noise.levels) if noise.kind == "exact" else perturbed


def _within(pixels: Image, direction: npt.NDArray[np.float64], norm: float, levels: int | None = None) -> Image:
    """Move an image in a direction as far as the norm allows, after clipping to [0, 1] and rounding.

    If pixel values are rounded to a grid, `levels` is the number of steps between 0 and 1, and otherwise None. If a
    pixel reaches 0 or 1, the other pixels are moved further. Therefore, the full norm is used unless all pixels that
    are moved have reached 0 or 1.
    """
    length = float(np.linalg.norm(direction))
    if length == 0:
        return pixels

    def moved(scale: float) -> Image:
        values = np.clip(pixels + direction * (scale / length), 0, 1)
        if levels:
            steps = np.rint((values - pixels) * levels) / levels
            values = np.rint(np.clip(pixels + steps, 0, 1) * levels) / levels
        return values.astype(np.float32)

    def fits(scale: float) -> bool:
        return float(np.linalg.norm(moved(scale).astype(np.float64) - pixels)) <= norm * INSIDE

    low, high = 0.0, norm
    for _ in range(20):
        if not fits(high):
            break
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return moved(low)
