"""Certificates put to the test, inside and outside their radius.

The attack is projected gradient descent on the smoothed model (Salman et al., NeurIPS 2019).
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from segcert.certification.certificate import ABSTAIN, certified_radius
from segcert.certification.multiple_testing import p_value_table
from segcert.data.dataset import PreparedDataset
from segcert.io.arrays import StoredArrays
from segcert.io.progress import track
from segcert.smoothing.noise import Draw, SamplingError, checked_image, image_digest
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.smoothing.shard import Pairing

Image = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]

STEP = 2.5  # of all steps together, in units of the norm
INSIDE = 1 - 1e-6  # so that rounding does not carry the perturbation out of the ball


@dataclasses.dataclass(frozen=True)
class Damage:
    """What an attacked image does to the certified pixels.

    Attributes
    ----------
    norm
        l2 norm of the perturbation, in units of pixels in [0, 1].
    certified
        Number of certified pixels.
    changed
        Number of them that lost the majority of the draws. Where the true share is close to one half, chance alone
        does this.
    refuted
        Number of them whose share is below one half beyond doubt: binomial test, family-wise error 0.001 over the
        certified pixels. Within the certified radius this must be 0, but for the errors that alpha allows.
    """

    norm: float
    certified: int
    changed: int
    refuted: int


def attack(
    smoothed: SmoothedSegmenter, image: npt.ArrayLike, labels: Labels, norm: float, *, steps: int = 10, copies: int = 8
) -> Image:
    """Perturb an image so that the smoothed model loses certified pixels.

    Each step follows the gradient of the share of the certified class at the weakest certified pixel, averaged over
    fresh noisy copies, and projects back into the l2 ball and into [0, 1]. The weakest pixel is found on the clean
    image: to push one pixel finds more than to push all at once, whose gradients cancel.

    Parameters
    ----------
    smoothed
        The segmenter under attack; its networks have to be differentiable.
    image
        (C, H, W) float32 in [0, 1].
    labels
        (H, W) certified labels, ABSTAIN = 255: the other pixels are attacked.
    norm
        Largest l2 norm of the perturbation, in units of pixels in [0, 1].
    steps
        Gradient steps.
    copies
        Noisy copies in each step.

    Returns
    -------
    ndarray
        The perturbed image, (C, H, W) float32 in [0, 1]; for `noise="exact"` on the image's own grid.

    Raises
    ------
    SamplingError
        For an image of another shape or range, and labels of another shape.
    """
    pixels = checked_image(image)
    if labels.shape != pixels.shape[1:]:
        raise SamplingError(f"labels: found shape {labels.shape}; expected {pixels.shape[1:]}")
    if (labels == ABSTAIN).all():
        return pixels
    digest = image_digest(pixels)
    x = torch.from_numpy(pixels).to(smoothed.device)
    certified = torch.from_numpy(labels != ABSTAIN).to(smoothed.device)
    chosen = torch.from_numpy(np.where(labels == ABSTAIN, 0, labels)).long().to(smoothed.device)
    delta = torch.zeros_like(x)
    target = None
    for step in range(steps):
        delta.requires_grad_(True)
        draws: list[Draw] = [("attack", step * copies + k) for k in range(copies)]
        logits = smoothed.logits(smoothed.noise.perturbed(x + delta, digest, draws))
        shares = logits.float().softmax(dim=1).mean(dim=0)  # (num_classes, H, W)
        share = shares.gather(0, chosen[None])[0]
        if target is None:
            target = int(torch.where(certified, share, torch.inf).argmin())
        (gradient,) = torch.autograd.grad(share.flatten()[target], delta)
        with torch.no_grad():
            downhill = gradient / gradient.norm().clamp(min=1e-12)
            delta = delta - STEP * norm / steps * downhill
            delta = delta * min(1.0, norm * INSIDE / max(float(delta.norm()), 1e-12))
            delta = (x + delta).clamp(0, 1) - x  # makes no component longer
    perturbation = delta.detach().cpu().numpy()
    if smoothed.noise.kind == "exact":
        return _on_grid(pixels, perturbation, norm * INSIDE, smoothed.noise.levels)
    attacked: Image = np.clip(pixels + perturbation, 0, 1)
    return attacked


def damage(
    smoothed: SmoothedSegmenter, image: npt.ArrayLike, attacked: Image, labels: Labels, *, draws: int = 100
) -> Damage:
    """How many certified pixels of an image an attacked copy of it flips, judged by fresh draws.

    image, attacked (C, H, W) float32 in [0, 1]; labels (H, W) with ABSTAIN = 255; draws: noisy copies that decide.
    """
    votes = smoothed.sample(attacked, n0=1, n=draws)
    certified = labels != ABSTAIN
    counts = votes.estimation[:, certified].astype(np.int64)  # (num_classes, pixels)
    own = np.take_along_axis(counts, labels[certified][None].astype(np.int64), axis=0)[0]
    pixels = int(certified.sum())
    p_values = p_value_table(draws, 0.5)[draws - own]  # P(Bin(draws, 1/2) <= own)
    return Damage(
        norm=float(np.linalg.norm((attacked - checked_image(image)).astype(np.float64))),
        certified=pixels,
        changed=int((own < counts.max(axis=0)).sum()) if pixels else 0,
        refuted=int((p_values <= 0.001 / max(1, pixels)).sum()),
    )


def _on_grid(pixels: Image, perturbation: Image, norm: float, levels: int) -> Image:
    """The perturbed image in whole grid steps: the perturbation as large as its rounding stays within the norm."""

    def rounded(scale: float) -> npt.NDArray[np.float64]:
        steps = np.rint(perturbation.astype(np.float64) * scale * levels) / levels
        return np.clip(pixels + steps, 0, 1) - pixels

    low, high = 0.0, max(1.0, norm * math.sqrt(pixels.size) / max(1e-12, float(np.linalg.norm(perturbation))))
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if np.linalg.norm(rounded(middle)) <= norm else (low, middle)
    return (np.rint((pixels + rounded(low)) * levels) / levels).astype(np.float32)


def attack_rows(
    dataset: PreparedDataset,
    pairing: Pairing,
    certificates: Mapping[float, str | Path],
    about: Mapping[str, Any],
    *,
    settings: Mapping[str, Any],
    tau: float,
    device: torch.device,
    **options: Any,
) -> list[dict[str, Any]]:
    """A row per sigma, attacked image and multiple of the radius: what the attack did to the certified pixels.

    `certificates` are the labels by sigma, `.npz` files by image name; `about` are columns of every row; `settings` are
    the keys of the section `attack` of the configuration; `options` are those of SmoothedSegmenter.
    """
    rows = []
    for sigma, path in track(certificates.items(), "attacking"):
        smoothed = pairing.smoothed_segmenter(sigma, bits=dataset.about["bits"], device=device, **options)
        radius = certified_radius(sigma, tau)
        with StoredArrays(path) as labels:
            for name in list(labels)[: settings["images"]]:
                image = dataset.image(name)
                for factor in settings["factors"]:
                    norm, steps, copies = factor * radius, settings["steps"], settings["copies"]
                    attacked = attack(smoothed, image, labels[name], norm, steps=steps, copies=copies)
                    done = damage(smoothed, image, attacked, labels[name], draws=settings["draws"])
                    setting = {"sigma": sigma, "tau": tau, "radius": radius, "factor": factor}
                    who = {"dataset": dataset.about["name"], "image": name, **about}
                    rows.append(who | setting | dataclasses.asdict(done))
    return rows
