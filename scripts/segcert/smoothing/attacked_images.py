"""Attacks on images, to test their certificates. The results are rows of a table.

For each attack, draws of the attacked image are compared with the claim of the certificate, and could refute it.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import ndtri

from segcert.certification.attacked_share import ERROR, FIRST_LOOK, OVERSTATED, Claim, measured_fall
from segcert.certification.certificate import ABSTAIN, certified_radius
from segcert.certification.methods import METHODS
from segcert.data.dataset import PreparedDataset
from segcert.io.arrays import StoredArrays
from segcert.io.progress import track
from segcert.smoothing.attack import Image, Labels, attack, weakest_pixel
from segcert.smoothing.noise import Draw, SamplingError, checked_image, image_digest
from segcert.smoothing.sampler import NOT_FINITE, SmoothedSegmenter
from segcert.smoothing.shard import Pairing
from segcert.votes import Votes, iterate_votes

MEASURED, MOST_COPIES = 100_000, 256  # values for measuring the noise, and the largest number of copies
CLEAN = 0.45  # share of the draws that is used for the unattacked image


@dataclasses.dataclass(frozen=True)
class AttackedImage:
    """Result of one attack on an image.

    Attributes
    ----------
    norm
        l2 norm of the perturbation, for pixel values in [0, 1].
    noise
        Measured standard deviation of the noise, for pixel values in [0, 1]; it should equal sigma.
    certified
        Number of certified pixels.
    changed
        Number of certified pixels that have their class on at most half of the draws of the attacked image. This can
        happen by chance if the true share is close to one half.
    clean_draws, clean_share
        Number of draws of the unattacked image, and the share of these draws on which the attacked pixel has its class.
    draws, share
        The same two numbers for the attacked image.
    least_share
        Smallest share on the attacked image that the certificate allows, given the draws of the unattacked image.
    strength
        Strength of the attack, in [0, 1]: the measured fall of the share, in normal quantiles, divided by the fall
        `norm` / `noise` that a perfect attack on a half-space causes.
    power
        Probability that the test would have refuted a radius that was overstated by a factor of 1.5. It is exact for a
        half-space with the measured `clean_share` that is attacked with the measured `strength`.
    refuted
        1 if the share is significantly below the smallest share that the certificate allows, else 0.
    """

    norm: float
    noise: float
    certified: int
    changed: int
    clean_draws: int
    clean_share: float
    draws: int
    share: float
    least_share: float
    strength: float
    power: float
    refuted: int


def attacked_images(
    smoothed: SmoothedSegmenter,
    image: npt.ArrayLike,
    votes: Votes,
    labels: Labels,
    *,
    tau: float,
    radius: float,
    factors: Sequence[float],
    promised: float,
    steps: int,
    copies: int,
    draws: int,
) -> list[AttackedImage]:
    """Attack an image at multiples of its radius, and test the certificate. Return one result per multiple.

    `labels`, of shape (H, W), were certified from `votes` at `tau` with `radius`. For `promised`, see `Claim`. `draws`
    is the largest total number of draws of the unattacked image and of all attacked images. These draws are not used
    for the votes or for the gradients of the attacks. The attack with the largest norm has the most power, and is the
    first. Draws that an attack does not use are available to the next attack.
    """
    pixels, target = checked_image(image), weakest_pixel(votes, labels)
    certified, noise = labels != ABSTAIN, _deviation(smoothed, pixels)
    if target is None:
        nothing = AttackedImage(0.0, noise, 0, 0, 0, math.nan, 0, math.nan, math.nan, 0.0, 0.0, 0)
        return [nothing] * len(factors)
    numbers = itertools.count()

    def agreeing(drawn: Image, count: int) -> npt.NDArray[np.int64]:
        """Draw copies of an image. Return the number that give each pixel its certified class, shape (H, W)."""
        asked: list[Draw] = [("test", number) for number in itertools.islice(numbers, count)]
        total = np.zeros(labels.shape, np.int64)
        for label_map in smoothed.label_maps(drawn, asked):
            found = label_map.cpu().numpy()
            if (found == NOT_FINITE).all():
                raise SamplingError(
                    "model: returned logits that are not finite for an attacked image; expected finite numbers"
                )
            total += found == labels
        return total

    clean_draws = max(1, round(CLEAN * draws))
    clean_votes = int(agreeing(pixels, clean_draws)[target])
    clean_share, left = clean_votes / clean_draws, draws - clean_draws
    reserved = min(FIRST_LOOK, left // len(factors))
    results: dict[float, AttackedImage] = {}
    for number, factor in enumerate(sorted(factors, reverse=True), start=1):
        attacked = attack(smoothed, pixels, votes, labels, factor * radius, steps=steps, copies=copies)
        norm = float(np.linalg.norm(attacked.astype(np.float64) - pixels))
        most = left - reserved * (len(factors) - number)
        fall = norm * float(ndtri(tau)) / radius
        claim = Claim(fall, promised, clean_draws, most, ERROR / 2, ERROR / 2 / len(factors))
        test, own, seen, refuted = claim.test(clean_votes), np.zeros(labels.shape, np.int64), 0, None
        for look in test.looks:
            own += agreeing(attacked, look - seen)
            seen, refuted = look, test.refutes(int(own[target]), look)
            if refuted is not None:
                break
        left -= seen
        measured = measured_fall(clean_votes, clean_draws, int(own[target]), seen) if seen else 0.0
        strength = min(1.0, max(0.0, measured * noise / norm)) if norm else 0.0
        results[factor] = AttackedImage(
            norm=norm,
            noise=noise,
            certified=int(certified.sum()),
            changed=int((2 * own[certified] <= seen).sum()) if seen else 0,
            clean_draws=clean_draws,
            clean_share=clean_share,
            draws=seen,
            share=float(own[target] / seen) if seen else math.nan,
            least_share=test.least,
            strength=strength,
            power=claim.power(clean_share, OVERSTATED * strength * fall),
            refuted=int(bool(refuted)),
        )
    return [results[factor] for factor in factors]


def _deviation(smoothed: SmoothedSegmenter, pixels: Image) -> float:
    """Measure the standard deviation of the noise that is added to an image."""
    x = torch.from_numpy(pixels).to(smoothed.device)
    draws: list[Draw] = [("test", number) for number in range(min(MOST_COPIES, math.ceil(MEASURED / pixels.size)))]
    return float((smoothed.noise.copies(x, image_digest(pixels), draws, len(draws)) - x).double().std())


def attack_rows(
    dataset: PreparedDataset,
    pairing: Pairing,
    certificates: Mapping[float, tuple[str | Path, Sequence[str | Path]]],
    about: Mapping[str, Any],
    *,
    settings: Mapping[str, Any],
    tau: float,
    method: str,
    device: torch.device,
    **options: Any,
) -> list[dict[str, Any]]:
    """Attack images of a data set. Return one row per sigma, attacked image and multiple of the radius.

    `certificates` maps each sigma to a pair: the `.npz` file of certified labels, keyed by image name, and the files of
    votes. `about` contains additional columns, which are the same in every row. `settings` is the configuration section
    `attack`. `options` are passed to `SmoothedSegmenter`.
    """
    rows = []
    promised = 0.0 if METHODS[method].weaker else tau
    for sigma, (path, files) in track(certificates.items(), "attacking"):
        smoothed = pairing.smoothed_segmenter(sigma, bits=dataset.about["bits"], device=device, **options)
        radius = certified_radius(sigma, tau)
        asked: dict[str, Any] = {"tau": tau, "radius": radius, "promised": promised}
        asked |= {name: value for name, value in settings.items() if name != "images"}
        with StoredArrays(path) as labels:
            names = list(labels)[: settings["images"]]
            votes = _votes_of(names, files)
            for name in names:
                results = attacked_images(smoothed, dataset.image(name), votes[name], labels[name], **asked)
                for factor, result in zip(settings["factors"], results, strict=True):
                    setting = {"sigma": sigma, "tau": tau, "radius": radius, "factor": factor}
                    who = {"dataset": dataset.about["name"], "image": name, **about}
                    rows.append(who | setting | dataclasses.asdict(result))
    return rows


def _votes_of(names: Iterable[str], files: Sequence[str | Path]) -> dict[str, Votes]:
    """Read the votes of some images from the files of a noise level. Stop when all of them are found."""
    wanted, found = set(names), {}
    for name, votes in itertools.chain.from_iterable(map(iterate_votes, files)):
        if name in wanted:
            found[name] = votes
        if len(found) == len(wanted):
            break
    return found
