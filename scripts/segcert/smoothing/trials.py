"""The certificates of a run put to the test: attacks inside and outside the radius."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from segcert.certification.certificate import certified_radius
from segcert.data.loading import PreparedDataset
from segcert.models.registry import load_segmenter
from segcert.progress import track
from segcert.provenance.arrays import StoredArrays
from segcert.smoothing.attack import attack, damage
from segcert.smoothing.segmenter import SmoothedSegmenter
from segcert.smoothing.shard import load_denoiser


def attack_rows(
    index: str | Path,
    segmenter: str | Path,
    denoiser: str | Path | None,
    certificates: Mapping[float, str | Path],
    about: Mapping[str, Any],
    *,
    denoising_steps: int,
    settings: Mapping[str, Any],
    tau: float,
    batch_size: int,
    precision: str,
    noise: str,
    pool: int,
    seed: int,
    device: torch.device,
) -> list[dict[str, Any]]:
    """A row per sigma, attacked image and multiple of the radius: what the attack did to the certified pixels.

    `certificates` are the labels by sigma, `.npz` files by image name; `settings` are the keys of the section
    `attack` of the configuration.
    """
    dataset = PreparedDataset(Path(index))
    model, config = load_segmenter(segmenter)
    denoise = load_denoiser(denoiser, denoising_steps)
    rows = []
    for sigma, path in track(certificates.items(), "attacking"):
        smoothed = SmoothedSegmenter(
            model,
            sigma,
            len(config["classes"]),
            denoise,
            batch_size,
            seed,
            device,
            precision,
            noise=noise,
            pool=pool,
            bits=dataset.about["bits"],
        )
        radius = certified_radius(sigma, tau)
        with StoredArrays(path) as labels:
            for name in list(labels)[: settings["images"]]:
                image = dataset.image(name)
                for factor in settings["factors"]:
                    attacked = attack(
                        smoothed, image, labels[name], factor * radius,
                        steps=settings["steps"], copies=settings["copies"],
                    )  # fmt: skip
                    done = damage(smoothed, image, attacked, labels[name], draws=settings["draws"])
                    rows.append(
                        {
                            "dataset": dataset.about["name"],
                            "image": name,
                            **about,
                            "sigma": sigma,
                            "tau": tau,
                            "radius": radius,
                            "factor": factor,
                            "norm": done.norm,
                            "certified": done.certified,
                            "changed": done.changed,
                            "refuted": done.refuted,
                        }
                    )
    return rows
