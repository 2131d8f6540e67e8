"""Attacks that test certificates, inside and outside their radius.

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

STEP = 2.5  # total length of all steps, as a multiple of the norm
INSIDE = 1 - 1e-6  # keeps the perturbation in the ball despite rounding


@dataclasses.dataclass(frozen=True)
class Damage:
    """Effect of an attack on the certified pixels of an image.

    Attributes
    ----------
    norm
        l2 norm of the perturbation, for pixel values in [0, 1].
    certified
        Number of certified pixels.
    changed
        Number of certified pixels at which another class has more draws than the certified class. This can happen by
        chance if the true share of the certified class is close to one half.
    refuted
        Number of certified pixels at which the share of the certified class is significantly below one half. The test
        is binomial, with a family-wise error rate of 0.001 over the certified pixels. If the perturbation is within the
        certified radius, this number must be 0, except for the errors that alpha allows.
    """

    norm: float
    certified: int
    changed: int
    refuted: int


def attack(
    smoothed: SmoothedSegmenter, image: npt.ArrayLike, labels: Labels, norm: float, *, steps: int = 10, copies: int = 8
) -> Image:
    """Perturb an image to change the label that the smoothed model gives a certified pixel.

    The target is the certified pixel whose class has the lowest share on the clean image. Attacking one pixel succeeds
    more often than attacking all pixels simultaneously, because the gradients of different pixels cancel. Each step
    reduces the share of the target's class, along the gradient averaged over new noisy copies. The perturbed image is
    then projected onto the l2 ball of radius `norm` around the clean image, and onto [0, 1].

    Parameters
    ----------
    smoothed
        Smoothed segmenter to attack. Its networks must be differentiable.
    image
        (C, H, W) float32 in [0, 1].
    labels
        (H, W) certified labels, with ABSTAIN = 255. Only certified pixels are attacked.
    norm
        Largest l2 norm of the perturbation, for pixel values in [0, 1].
    steps
        Number of gradient steps.
    copies
        Number of noisy copies in each step.

    Returns
    -------
    ndarray
        The perturbed image, (C, H, W) float32 in [0, 1]. With `noise="exact"`, it is on the image's grid.

    Raises
    ------
    SamplingError
        If the image has a wrong shape or range, or if the labels have a different height or width.
    """
    pixels = checked_image(image)
    if labels.shape != pixels.shape[1:]:
        raise SamplingError(f"labels: found shape {labels.shape}, but the image has shape {pixels.shape[1:]}")
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
            delta = (x + delta).clamp(0, 1) - x  # clamping does not enlarge any component
    perturbation = delta.detach().cpu().numpy()
    if smoothed.noise.kind == "exact":
        return _on_grid(pixels, perturbation, norm * INSIDE, smoothed.noise.levels)
    attacked: Image = np.clip(pixels + perturbation, 0, 1)
    return attacked


def damage(
    smoothed: SmoothedSegmenter, image: npt.ArrayLike, attacked: Image, labels: Labels, *, draws: int = 100
) -> Damage:
    """Count the certified pixels whose labels an attack on an image changes, using new draws.

    `image` and `attacked` are (C, H, W) float32 in [0, 1]. `labels` is (H, W), with ABSTAIN = 255. `draws` is the
    number of noisy copies of the attacked image.
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
    """Scale a perturbation by the largest factor that `norm` allows, and round the perturbed image to its grid."""

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
    """Attack images of a data set; return one row per sigma, attacked image and multiple of the radius.

    `certificates` maps each sigma to an `.npz` file that contains the certified labels of each image, by image name.
    `about` contains further columns for every row. `settings` is the configuration section `attack`. `options` are
    further arguments for SmoothedSegmenter.
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
