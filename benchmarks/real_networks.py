"""Train the networks whose votes the benchmarks replay: python -m benchmarks.real_networks ARCHIVES WORK."""

import sys
from pathlib import Path

import torch

from benchmarks.real_sets import prepare_real
from segcert.config.networks import Denoiser, Segmenter
from segcert.data.dataset import PreparedDataset
from segcert.io.progress import log
from segcert.training.denoiser import train_denoiser
from segcert.training.segmenter import train_segmenter

SETS = {"montgomery_128": 128, "isic2018_128": 128, "cvc_clinicdb_128": 128, "montgomery_256": 256}
UNET = {"width": 8, "depth": 4}
SEGMENTER = Segmenter(steps=300, augmentation={"flips": False}).model_dump()
LESIONS = SEGMENTER | {"steps": 1500, "sigma_max": 0.5, "evaluate_every": 150}
DENOISER = Denoiser(channels=[16, 32, 64], steps=300, augmentation={"flips": False}).model_dump()
TRAIN = [  # the cheapest networks first
    *((name, "noise") for name in SETS),
    ("montgomery_128", "clean"),
    ("montgomery_128", "denoiser"),
    ("isic2018_128", "clean"),
    ("isic2018_128", "denoiser"),
    ("cvc_clinicdb_128", "clean"),
    ("cvc_clinicdb_128", "denoiser"),
]


def train(name: str, what: str, archives: Path, work: Path) -> None:
    """Train one network unless it exists."""
    folder = work / name / what
    index = prepare_real(name.rsplit("_", 1)[0], archives, work / name / "data", SETS[name])
    options = {"seed": 0, "device": torch.device("cpu"), "checkpoint": folder / "checkpoint.pt"}
    if what == "denoiser" and not (folder / "scheduler").exists():
        train_denoiser([index], folder, settings=DENOISER, **options)
    if what != "denoiser" and not (folder / "config.json").exists():
        settings = LESIONS if (name, what) == ("isic2018_128", "noise") else SEGMENTER
        arguments = {"in_channels": PreparedDataset(index).about["channels"], "num_classes": 2} | UNET
        train_segmenter(
            index, folder, architecture="unet", arguments=arguments, regime=what, settings=settings, **options
        )
    log.info("%s exists", folder)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, what in TRAIN:
        train(name, what, Path(sys.argv[1]), Path(sys.argv[2]))
