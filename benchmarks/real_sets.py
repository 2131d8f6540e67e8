"""Real images for the benchmarks, from a folder of official archives, in the pipeline's common format."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import tifffile
from PIL import Image

from segcert.data.catalogue import CATALOGUE, Dataset
from segcert.data.images import Sample
from segcert.data.montgomery import read_montgomery
from segcert.data.prepare import prepare
from segcert.data.splits import split_of

LAST_FRAMES = (25, 50, 67, 78, 103, 126, 151, 177, 199, 205, 227, 252, 277, 297, 317, 342, 363, 383, 408, 428,
               447, 466, 478, 503, 528, 546, 571, 591, 612)  # fmt: skip
ISIC_SPLITS = {"train": "Training", "val": "Validation", "test": "Test"}

CATALOGUE |= {
    "isic2018": Dataset(
        title="ISIC 2018 skin lesions", modality="dermoscopy", channels=3, classes=("background", "lesion"),
        archives=(), terms="CC-0 or CC BY-NC", citation="Codella et al. 2019; Tschandl et al. 2018",
    ),
    "cvc_clinicdb": Dataset(
        title="CVC-ClinicDB polyps", modality="colonoscopy", channels=3, classes=("background", "polyp"),
        archives=(), terms="research and education", citation="Bernal et al. 2015",
    ),
}  # fmt: skip


def prepare_real(dataset: str, archives: Path, folder: Path, size: int) -> Path:
    """Prepare a set at (size, size) pixels unless it is there; return its index.csv."""
    samples = {"montgomery": _montgomery, "isic2018": _isic, "cvc_clinicdb": _cvc}[dataset]
    if not (folder / "index.csv").exists():
        prepare(dataset, samples(archives), folder, size, lambda sample: _split(dataset, sample.group))
    return folder / "index.csv"


def _split(dataset: str, group: str) -> str:
    return group if group in ISIC_SPLITS else split_of(dataset, group)


def _montgomery(archives: Path) -> Iterator[Sample]:
    return read_montgomery(archives / "NLM-MontgomeryCXRSet.zip")


def _isic(archives: Path) -> Iterator[Sample]:
    """The official splits; the group of an image is its split."""
    for split, title in ISIC_SPLITS.items():
        masks = zipfile.ZipFile(archives / f"ISIC2018_Task1_{title}_GroundTruth.zip")
        with zipfile.ZipFile(archives / f"ISIC2018_Task1-2_{title}_Input.zip") as images:
            for member in sorted(name for name in images.namelist() if name.endswith(".jpg")):
                name = PurePosixPath(member).stem
                image = np.asarray(Image.open(io.BytesIO(images.read(member))).convert("RGB"))
                data = masks.read(f"ISIC2018_Task1_{title}_GroundTruth/{name}_segmentation.png")
                mask = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
                yield Sample(name, split, image, (mask > 127).astype(np.uint8))


def _cvc(archives: Path) -> Iterator[Sample]:
    """The group of a frame is its video sequence."""
    with zipfile.ZipFile(archives / "CVC-ClinicDB.zip") as file:
        frames = sorted(int(PurePosixPath(name).stem) for name in file.namelist() if "/Original/" in name)
        for frame in frames:
            image, mask = (
                tifffile.imread(io.BytesIO(file.read(f"CVC-ClinicDB/{kind}/{frame}.tif")))
                for kind in ("Original", "Ground Truth")
            )
            sequence = next(k for k, last in enumerate(LAST_FRAMES, start=1) if frame <= last)
            yield Sample(f"cvc_{frame:03d}", f"sequence_{sequence}", image, (mask > 127).astype(np.uint8))
