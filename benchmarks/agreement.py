"""Compare votes from a CPU and a GPU: python benchmarks/agreement.py [--output FILE].

This needs a GPU, but no data. Networks of the default sizes are trained on phantoms of 64x64 pixels (three classes), on
the CPU and on the GPU. Then the same networks draw votes on both devices. The votes are compared count by count, as are
the labels certified from them:

- noise: both devices use the CPU's noise, so that only the networks' arithmetic differs;
- noise, no TF32: the same, but the GPU's convolutions use full float32;
- draws: each device uses its own noise, as in the pipeline (from the same key, a GPU makes different numbers);
- batches: the GPU uses batches of 8 and of 32.

The time of an attack and the quality of the denoiser are also measured on both devices.
"""

import sys
from pathlib import Path

sys.path[:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "scripts")]

import argparse
import csv
import itertools
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segcert.certification.certificate import ABSTAIN, certify
from segcert.config import Config
from segcert.data.dataset import PreparedDataset
from segcert.data.phantom import find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.sets.phantom import DATASET
from segcert.networks.runtime import set_up_torch
from segcert.smoothing.attack import attack, weakest_pixel
from segcert.smoothing.denoiser_scores import denoiser_scores
from segcert.smoothing.noise import Draw, Noise
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.smoothing.shard import Pairing
from segcert.training.denoiser import train_denoiser
from segcert.training.segmenter import train_segmenter
from segcert.votes import Votes

SIGMAS = (0.25, 0.5, 1.0)
N0, N, TAU, ALPHA = 10, 100, 0.75, 0.001
IMAGES = 4
DEVICES = ("cpu", "cuda")


class HostNoise(Noise):
    """Noise that is drawn on the CPU and moved to the image's device."""

    def _noise(self, image: Tensor, digest: str, draws: Sequence[Draw], batch_size: int) -> Tensor:
        return super()._noise(image.cpu(), digest, draws, batch_size).to(image.device)


def trained(index: Path, folder: Path, device: str) -> dict[str, Any]:
    """Train a segmenter and a denoiser in `folder`; return the time and the history rows of each."""
    config = Config().model_dump()
    target = torch.device(device)
    common: dict[str, Any] = {"seed": 0, "device": target, "checkpoint": folder / "checkpoint.pt"}
    ways = {
        "segmenter": lambda path: train_segmenter(
            index,
            path,
            architecture="unet",
            arguments={"in_channels": 1, "num_classes": 3, "width": 8, "depth": 3},
            regime="noise",
            settings=_settings(config["segmenter"], 150),
            **common,
        ),
        "denoiser": lambda path: train_denoiser([index], path, settings=_settings(config["denoiser"], 150), **common),
    }
    found = {}
    for name, train in ways.items():
        start = time.perf_counter()
        train(folder / name)
        seconds = time.perf_counter() - start
        with (folder / name / "history.csv").open() as file:
            rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
        found[name] = {"seconds": round(seconds, 2), "history": rows}
    return found


def _settings(section: dict[str, Any], steps: int) -> dict[str, Any]:
    section["augmentation"]["flips"] = False
    return section | {"steps": steps, "evaluate_every": steps // 3}


def compared(first: Sequence[Votes], second: Sequence[Votes]) -> dict[str, Any]:
    """Return the differences between votes of the same images: counts of estimation draws, and certified labels."""
    pairs = list(zip(first, second, strict=True))
    counts = [np.abs(a.estimation.astype(int) - b.estimation) for a, b in pairs]
    labels = [[certify(votes, TAU, ALPHA).labels for votes in pair] for pair in pairs]
    pixels = sum(a.size for a, _ in labels)
    return {
        "pixels": pixels,
        "counts": sum(each.size for each in counts),
        "counts_that_differ": int(sum((each > 0).sum() for each in counts)),
        "largest_difference": int(max(each.max() for each in counts)),
        "labels_that_differ": int(sum((a != b).sum() for a, b in labels)),
        "of_these_both_certified": int(sum(((a != b) & (a != ABSTAIN) & (b != ABSTAIN)).sum() for a, b in labels)),
        "certified_percent": [
            round(100 * float(sum((pair[which] != ABSTAIN).sum() for pair in labels)) / pixels, 3) for which in (0, 1)
        ],
    }


class Networks:
    """The trained networks and the images on which they are compared."""

    def __init__(self, index: Path, folder: Path) -> None:
        self.index, self.dataset, self.folder = index, PreparedDataset(index), folder
        self.images = [self.dataset.image(name) for name in self.dataset.names("test", IMAGES)]

    def smoothed(
        self, device: str, sigma: float, kind: str, denoised: bool, host: bool = False, **settings: Any
    ) -> SmoothedSegmenter:
        """Return the smoothed segmenter with these settings. If `host` is true, it uses the CPU's noise."""
        pairing = Pairing(self.folder / "segmenter", self.folder / "denoiser" if denoised else None)
        options = {"batch_size": 22, "noise": kind, "bits": self.dataset.about["bits"]} | settings
        found = pairing.smoothed_segmenter(sigma, device=torch.device(device), **options)
        if host:
            found.noise = HostNoise(sigma, 0, kind, self.dataset.about["bits"])
        return found

    def votes(self, *arguments: Any, **settings: Any) -> list[Votes]:
        """Return the votes of all images."""
        smoothed = self.smoothed(*arguments, **settings)
        return [smoothed.sample(image, N0, N) for image in self.images]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per comparison of votes."""
        rows = []
        for sigma, kind, denoised in itertools.product(SIGMAS, ("normal", "exact"), (False, True)):
            of = (sigma, kind, denoised)
            on_cpu, on_gpu = self.votes("cpu", *of), self.votes("cuda", *of)
            pairs = {
                "noise": (on_cpu, self.votes("cuda", *of, host=True), "float32"),
                "draws": (on_cpu, on_gpu, "float32"),
                "batches": (self.votes("cuda", *of, batch_size=8), self.votes("cuda", *of, batch_size=32), "float32"),
            }
            if kind == "normal":
                low = self.votes("cuda", *of, host=True, precision="bfloat16")
                pairs["noise, bfloat16"] = (on_cpu, low, "bfloat16")
                torch.backends.cudnn.allow_tf32 = False
                pairs["noise, no TF32"] = (on_cpu, self.votes("cuda", *of, host=True), "float32")
                torch.backends.cudnn.allow_tf32 = True
            about = {"sigma": sigma, "noise": kind, "denoiser": denoised}
            rows += [
                report({"compared": name, **about, "precision": precision, **compared(first, second)})
                for name, (first, second, precision) in pairs.items()
            ]
        return rows

    def attacked(self, device: str) -> dict[str, Any]:
        """Time an attack on the first image with twice the certified radius, with the denoiser in front."""
        smoothed, image = self.smoothed(device, 0.5, "normal", True), self.images[0]
        votes = smoothed.sample(image, N0, N)
        certificate = certify(votes, TAU, ALPHA)
        start = time.perf_counter()
        perturbed = attack(smoothed, image, votes, certificate.labels, 2 * certificate.radius)
        seconds = time.perf_counter() - start
        after, own = smoothed.sample(perturbed, 1, N).estimation, weakest_pixel(votes, certificate.labels)
        norm, share = float(np.linalg.norm(perturbed - image)), float(after[(int(certificate.labels[own]), *own)] / N)
        return {"seconds": round(seconds, 2), "norm": norm, "share": share}

    def restored(self, device: str) -> list[dict[str, Any]]:
        """Return the denoiser's PSNR and SSIM."""
        rows = denoiser_scores(
            self.index,
            {"ddpm": self.folder / "denoiser"},
            denoising_steps=1,
            sigmas=SIGMAS,
            pool=1,
            seed=0,
            device=torch.device(device),
        )
        return [row for row in rows if row["method"] == "ddpm"]


def report(result: dict[str, Any]) -> dict[str, Any]:
    """Print a result and return it."""
    print(json.dumps(result), flush=True)
    return result


def main() -> None:
    """Run all comparisons and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    set_up_torch("cuda", options.threads)
    results: dict[str, Any] = {
        "hardware": torch.cuda.get_device_name(),
        "processor": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "image_size": 64,
        "n0": N0,
        "n": N,
        "tau": TAU,
        "alpha": ALPHA,
        "images": IMAGES,
    }
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        prepare(DATASET, find_phantoms({"train": 96, "val": 16, "test": IMAGES}, 64), work / "phantom", Form(64))
        results["training"] = report(
            {each: trained(work / "phantom" / "index.csv", work / each, each) for each in DEVICES}
        )
        networks = Networks(work / "phantom" / "index.csv", work / "cuda")
        results["votes"] = networks.rows()
        results["attack"] = report({each: networks.attacked(each) for each in DEVICES})
        results["denoiser"] = report({each: networks.restored(each) for each in DEVICES})
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
