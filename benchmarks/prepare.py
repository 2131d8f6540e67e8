"""Measure the time and memory that preparing images takes: python -m benchmarks.prepare [OUTPUT].

The images are 2,600 photographs of 512x512 pixels, in archives like those of ISIC 2018. They are resized to 128x128,
with one worker and with two. Each run has its own process, whose peak resident memory is measured. The time includes
archive checksums, JPEG and PNG decoding, the search for duplicates, resizing, writing and digests.
"""

import concurrent.futures
import io
import json
import multiprocessing
import resource
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from segcert.data.manifest import open_raw, write_manifest
from segcert.data.prepare import Form, prepare
from segcert.data.sets.isic2018 import DATASET, LAYOUT
from segcert.provenance.digests import file_digest

COUNTS = {"Training": 2000, "Validation": 100, "Test": 500}
SIZE, PREPARED = 512, 128


def main() -> None:
    """Write the archives and prepare them in both ways; print and write the results."""
    with tempfile.TemporaryDirectory() as folder:
        write_archives(Path(folder) / "raw")
        results = {workers: measure(Path(folder), workers) for workers in (1, 2)}
    found = {
        "images": sum(COUNTS.values()),
        "size": SIZE,
        "prepared": PREPARED,
        "workers": results,
        "two_over_one": round(results[1]["seconds"] / results[2]["seconds"], 2),
    }
    print(json.dumps(found, indent=1))
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n")


def write_archives(folder: Path) -> None:
    """Write the six archives, with smooth random images (JPEG at quality 90) and blobs as lesions."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE]
    number = 0
    for part, count in COUNTS.items():
        inputs, truths = f"ISIC2018_Task1-2_{part}_Input", f"ISIC2018_Task1_{part}_GroundTruth"
        with (
            zipfile.ZipFile(folder / f"{inputs}.zip", "w") as images,
            zipfile.ZipFile(folder / f"{truths}.zip", "w") as masks,
        ):
            for _ in range(count):
                number += 1
                name = f"ISIC_{number:07d}"
                coarse = Image.fromarray(rng.integers(0, 256, (32, 32, 3)).astype(np.uint8))
                picture = np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC)).astype(np.int16)
                picture += rng.integers(-12, 12, picture.shape, dtype=np.int16)
                middle, radius = rng.uniform(150, 360, 2), rng.uniform(40, 140)
                blob = (np.hypot(y - middle[0], x - middle[1]) < radius) * np.uint8(255)
                images.writestr(
                    f"{inputs}/{name}.jpg", encoded(picture.clip(0, 255).astype(np.uint8), "JPEG", quality=90)
                )
                masks.writestr(f"{truths}/{name}_segmentation.png", encoded(blob, "PNG"))
    entries = [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": file_digest(path), "official": False}
        for path in sorted(folder.iterdir())
    ]
    write_manifest(folder, DATASET.name, entries, {})


def encoded(pixels: np.ndarray, kind: str, **options: int) -> bytes:
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def measure(folder: Path, workers: int) -> dict[str, float]:
    """Return the seconds, images per second and peak memory of preparation with a number of workers."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, folder, workers).result()


def _measure(folder: Path, workers: int) -> dict[str, float]:
    start = time.perf_counter()
    with open_raw(folder / "raw") as files:
        prepare(DATASET, LAYOUT.find(files, DATASET), folder / f"prepared-{workers}", Form(PREPARED), workers=workers)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate = sum(COUNTS.values()) / seconds
    return {"seconds": round(seconds, 1), "images_per_second": round(rate, 1), "peak_memory_mib": round(peak)}


if __name__ == "__main__":
    main()
