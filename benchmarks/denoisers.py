"""Compare denoisers after equal training: python -m benchmarks.denoisers RUN DATASET [STEPS].

RUN is the folder in which config/models-xray.yaml or config/models-colour.yaml has run. Each variant is trained on
DATASET for as many floating-point operations as the first variant needs for STEPS steps. As for the run's networks,
images of 128x128 pixels are averaged to 64x64. benchmarks/results/denoisers-DATASET.json contains the training time in
seconds on one thread, and the PSNR on the validation images (mean over sigma 0.2, 0.47 and 1.1). It also contains the
certified Dice of the run's clean segmenter with the denoiser in front, on test images.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from segcert.certification.certificate import certify
from segcert.certification.metrics import class_metrics
from segcert.config.networks import Denoiser
from segcert.data.dataset import PreparedDataset
from segcert.networks.denoiser import DiffusionDenoiser
from segcert.networks.registry import load_segmenter
from segcert.networks.runtime import set_up_torch
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.training.denoiser import build_unet, train_denoiser

POOL, SIGMAS, IMAGES = 2, (0.25, 0.5, 1.0), 10
VARIANTS: dict[str, dict[str, Any]] = {
    "v, range, linear, EMA 0.99, 16-32-64, batches of 8": {},
    "epsilon, all levels": {"prediction": "epsilon", "levels": "all"},
    "epsilon": {"prediction": "epsilon"},
    "all levels": {"levels": "all"},
    "cosine": {"noise_schedule": "cosine"},
    "no EMA": {"ema_decay": 0.0},
    "batches of 4 (the default)": {"batch_size": 4},
    "batches of 2": {"batch_size": 2},
    "24-48-96": {"channels": [24, 48, 96]},
    "8-16-32": {"channels": [8, 16, 32]},
    "8-16-32, batches of 4": {"channels": [8, 16, 32], "batch_size": 4},
    "16-32-64-64": {"channels": [16, 32, 64, 64]},
    "2 layers per block": {"layers_per_block": 2},
}


def flop_of(settings: dict[str, Any], channels: int, size: int) -> int:
    """Return the number of floating-point operations of the network on one image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        build_unet(settings, channels, size)(torch.zeros(1, channels, size, size), 0)
    return int(counter.get_total_flops())


def certified_dice(run: Path, dataset: str, data: PreparedDataset, denoiser: DiffusionDenoiser) -> dict[str, float]:
    """Return, for each sigma, the mean certified Dice of the clean segmenter with a denoiser in front."""
    segmenter, _ = load_segmenter(run / "models" / "segmenter" / dataset / "unet-clean")
    means = {}
    for sigma in SIGMAS:
        smoothed = SmoothedSegmenter(segmenter, sigma, 2, denoiser, 10, pool=POOL)
        scores = []
        for name in data.names("test", IMAGES):
            labels = certify(smoothed.sample(data.image(name), 10, 100), tau=0.75, alpha=0.001).labels
            scores.append(class_metrics(data.mask(name), labels, labels, 1)["certified_dice"])
        means[f"{sigma:g}"] = round(float(np.mean(scores)), 4)
    return means


def main(run: Path, dataset: str, steps: int) -> None:
    """Train and score every variant; rewrite the results file after each variant."""
    device = set_up_torch("cpu", 1)
    index = run / "data" / "prepared" / dataset / "index.csv"
    data = PreparedDataset(index)
    channels, size = data.about["channels"], data.about["image_size"] // POOL
    first = Denoiser(batch_size=8, augmentation={"flips": dataset != "montgomery"}).model_dump()
    budget = steps * first["batch_size"] * flop_of(first, channels, size)
    rows = []
    for name, changes in VARIANTS.items():
        settings = first | changes
        flop = flop_of(settings, channels, size)
        settings["steps"] = round(budget / settings["batch_size"] / flop)
        settings["evaluate_every"] = settings["steps"]
        folder = run / "denoisers" / dataset / name.replace(" ", "-").replace(":", "").replace(",", "")
        start = time.perf_counter()
        train_denoiser(
            [index],
            folder,
            settings=settings,
            pool=POOL,
            seed=0,
            device=device,
            checkpoint=folder / "checkpoint.pt",
        )
        seconds = time.perf_counter() - start
        psnr = pd.read_csv(folder / "history.csv")["val_psnr"].iloc[-1]
        rows.append(
            {
                "variant": name,
                "steps": settings["steps"],
                "mflop": round(flop / 1e6),
                "seconds": round(seconds),
                "val_psnr": round(float(psnr), 2),
                "certified_dice": certified_dice(run, dataset, data, DiffusionDenoiser.load(folder)),
            }
        )
        print(rows[-1], flush=True)
        path = Path(__file__).parent / "results" / f"denoisers-{dataset}.json"
        path.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 200)
