"""Compare sampling with the bare networks: python benchmarks/throughput.py [--device cuda] [--output FILE].

The benchmark measures two ratios of speeds, each of them within one run:

- loop: the speed of the complete sampling loop (noise, batches, votes, blocks), relative to the bare forward passes of
  the denoiser and segmenter on the same noisy batches. Both are timed alternately, and the ratio is the median over
  rounds;
- reference: the speed of certifying an image, relative to the reference method, which is implemented here: one noisy
  copy at a time, noise from numpy, labels copied to the host, and a binomial test for each pixel.

The networks have random weights, on which speed does not depend. On a GPU, they have the widths of config/paper.yaml,
and bfloat16, torch.compile and the GPU's utilisation are measured too. A `stored` case does the same as a pipeline job:
it also counts overlaps with the ground truth and writes every block to disk.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # as a script, its folder would hide Python's own `statistics`
sys.path.insert(1, str(Path(__file__).parents[1] / "scripts"))

import argparse
import dataclasses
import itertools
import json
import platform
import statistics
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest, norm

from segcert.certification.certificate import certify
from segcert.config.networks import SIZES
from segcert.networks.denoiser import DiffusionDenoiser
from segcert.networks.runtime import PRECISIONS, device_name, set_up_torch
from segcert.networks.unet import UNet
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.smoothing.store import BlockStore
from segcert.training.denoiser import build_unet
from segcert.votes import Votes

SIGMA, N0, N, TAU, ALPHA = 0.5, 10, 100, 0.75, 0.001
LEAST_S = 10.0  # shortest measurement, in seconds
WATCHED_S = 2.0


@dataclasses.dataclass(frozen=True)
class Case:
    """Networks and batches of one measurement."""

    size: int
    batch_size: int
    denoiser: bool
    noise: str = "normal"
    precision: str = "float32"
    compiled: bool = False
    channels: int = 1
    stored: bool = False


CPU_CASES = [
    *(Case(size, batch, denoiser) for size in (64, 128) for denoiser in (False, True) for batch in (10, 22)),
    Case(64, 10, True, noise="exact"),
    Case(64, 10, False, noise="exact"),
]
GPU_CASES = [
    *(Case(256, 55, denoiser, precision=precision) for denoiser in (False, True) for precision in PRECISIONS),
    *(Case(256, 55, False, precision=precision, stored=True) for precision in PRECISIONS),
    Case(256, 55, True, precision="bfloat16", stored=True),
    *(Case(256, batch, True, precision="bfloat16") for batch in (10, 50)),
    Case(256, 55, False, noise="exact", precision="bfloat16"),
    *(Case(256, 55, denoiser, precision="bfloat16", compiled=True) for denoiser in (False, True)),
]


def sizes_on(device: torch.device) -> dict[str, dict[str, Any]]:
    """Return the sizes of a U-Net and a diffusion model: the default widths, or the paper's widths on a GPU."""
    paper = device.type == "cuda"
    channels, layers_per_block = SIZES["base"] if paper else ([16, 32, 64], 1)
    return {
        "segmenter": {"architecture": "unet", "width": 64 if paper else 8, "depth": 4 if paper else 3},
        "denoiser": {"channels": channels, "layers_per_block": layers_per_block},
    }


def networks(case: Case, device: torch.device) -> tuple[UNet, DiffusionDenoiser | None]:
    """Return a case's networks, with random weights."""
    torch.manual_seed(0)
    sizes = sizes_on(device)
    model = UNet(case.channels, 2, width=sizes["segmenter"]["width"], depth=sizes["segmenter"]["depth"]).eval()
    if not case.denoiser:
        return model, None
    unet = build_unet(sizes["denoiser"], case.channels, case.size)
    betas = torch.linspace(1e-4, 0.02, 1000)
    return model, DiffusionDenoiser(unet, torch.cumprod(1 - betas, 0))


def smoothed_of(case: Case, device: torch.device) -> SmoothedSegmenter:
    """Return a case's smoothed segmenter."""
    model, denoiser = networks(case, device)
    return SmoothedSegmenter(
        model, SIGMA, 2, denoiser, case.batch_size, 0, device, case.precision, noise=case.noise, compiled=case.compiled
    )


def sampler_of(case: Case, smoothed: SmoothedSegmenter, image: np.ndarray, folder: Path) -> Callable[[int], Any]:
    """Return a function that draws the votes of a number of images in the same way as a job.

    While one image's labels are read and stored, the next image's labels are computed. In a `stored` case, the store is
    in `folder`, and each image is different, so that none of its draws are stored yet.
    """
    numbers = itertools.count()
    if case.stored:
        smoothed.identity, smoothed.store = {"segmenter": "of the benchmark"}, BlockStore(folder)

    def sample(images: int) -> None:
        started: deque[Callable[[], Votes]] = deque()
        for _ in range(images):
            another = np.roll(image, next(numbers), axis=2)
            truth = (another[0] > 0.5).astype(np.uint8) if case.stored else None
            started.append(smoothed.start(another, N0, N, truth=truth))
            if len(started) > 1:
                started.popleft()()
        started.popleft()()

    return sample


def image_of(case: Case) -> np.ndarray:
    """Return a random image on the 8-bit grid."""
    pixels = np.random.default_rng(0).integers(0, 256, (case.channels, case.size, case.size))
    return (pixels / np.float32(255)).astype(np.float32)


def bare(smoothed: SmoothedSegmenter, image: np.ndarray) -> Callable[[], None]:
    """Return a function that runs only the forward passes, on as many noisy batches as the loop needs.

    The noisy batches are made in advance.
    """
    x = torch.from_numpy(image).to(smoothed.device)
    draws = [("estimation", k) for k in range(N0 + N)]
    size = smoothed.batch_size
    batches = [smoothed.noise.copies(x, "x", draws[i : i + size], size) for i in range(0, len(draws), size)]

    @torch.inference_mode()
    def run() -> None:
        for batch in batches:
            smoothed.logits(batch)
        wait(smoothed.device)

    return run


def wait(device: torch.device) -> None:
    """Wait until the GPU has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(run: Callable[[], Any]) -> float:
    """Return the wall-clock time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def loop_ratio(case: Case, device: torch.device, rounds: int, least_s: float) -> dict[str, Any]:
    """Return the loop's speed as a share of the bare networks' speed, and both speeds in draws per second."""
    smoothed, image = smoothed_of(case, device), image_of(case)
    alone = bare(smoothed, image)
    with tempfile.TemporaryDirectory() as folder:
        sample = sampler_of(case, smoothed, image, Path(folder))
        images = 1 if device.type == "cpu" else 2 if case.denoiser else 6
        alone()
        sample(1)
        pairs: list[tuple[float, float]] = []
        while len(pairs) < rounds or sum(map(sum, pairs)) < least_s:
            pairs.append((seconds(lambda: [alone() for _ in range(images)]), seconds(lambda: sample(images))))
        busy = utilisation(lambda: sample(images)) if device.type == "cuda" else {}
    alone_s, loop_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    return (
        dataclasses.asdict(case)
        | {
            "ratio": statistics.median(a / b for a, b in pairs),
            "loop_draws_per_s": images * (N0 + N) / loop_s,
            "bare_draws_per_s": images * (N0 + N) / alone_s,
            "seconds_per_image": loop_s / images,
            "rounds": len(pairs),
        }
        | busy
    )


def utilisation(sample: Callable[[], Any]) -> dict[str, float]:
    """Return the percentage of time that the GPU is busy while images are sampled one by one, and its peak memory.

    The driver is queried ten times a second for two seconds. Peak memory is that of torch's allocator.
    """
    torch.cuda.reset_peak_memory_stats()
    samples: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            samples.append(torch.cuda.utilization())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    while time.perf_counter() - start < WATCHED_S:
        sample()
    stop.set()
    watcher.join()
    return {
        "utilisation_percent": statistics.mean(samples[len(samples) // 3 :]),  # the driver averages over up to 1 s
        "peak_memory_mib": torch.cuda.max_memory_allocated() / 2**20,
    }


@torch.inference_mode()
def reference(smoothed: SmoothedSegmenter, image: np.ndarray) -> np.ndarray:
    """Return labels certified as in Fischer et al. 2021 and the released code of Laousy et al. 2023."""
    rng = np.random.default_rng(0)
    labels = []
    for _ in range(N0 + N):
        noisy = torch.from_numpy((image + SIGMA * rng.standard_normal(image.shape)).astype(np.float32))[None]
        labels.append(smoothed.logits(noisy.to(smoothed.device)).argmax(dim=1)[0].cpu().numpy())
    draws = np.stack(labels)
    top = np.array([np.bincount(votes, minlength=2).argmax() for votes in draws[:N0].reshape(N0, -1).T])
    wins = (draws[N0:].reshape(N, -1) == top).sum(axis=0)
    p_values = np.array([binomtest(int(count), N, TAU, alternative="greater").pvalue for count in wins])
    order = np.argsort(p_values)
    passing = p_values[order] <= ALPHA / (len(order) - np.arange(len(order)))
    first_failure = len(order) if passing.all() else int(passing.argmin())
    certified = np.full(len(order), 255)
    certified[order[:first_failure]] = top[order[:first_failure]]
    assert norm.ppf(TAU) > 0
    return certified.reshape(draws.shape[1:])


def reference_ratio(case: Case, device: torch.device) -> dict[str, Any]:
    """Return the factor by which certifying an image is faster than with the reference method."""
    smoothed, image = smoothed_of(case, device), image_of(case)
    smoothed.sample(image, N0, N)
    slow = seconds(lambda: reference(smoothed, image))
    fast = statistics.median(seconds(lambda: certify(smoothed.sample(image, N0, N), TAU, ALPHA)) for _ in range(3))
    return dataclasses.asdict(case) | {"times_faster": slow / fast, "reference_s": slow, "segcert_s": fast}


def main() -> None:
    """Measure all cases and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--least", type=float, default=LEAST_S, help="shortest time to measure each case, in seconds")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    device = set_up_torch(options.device, options.threads)
    cases = CPU_CASES if device.type == "cpu" else GPU_CASES
    results: dict[str, Any] = {
        "hardware": device_name(device),
        "processor": platform.processor(),
        "torch": torch.__version__,
        "networks": sizes_on(device),
    }
    results["loop"] = []
    for case in cases:
        results["loop"].append(report(loop_ratio(case, device, options.rounds, options.least)))
        if options.output:
            options.output.write_text(json.dumps(results, indent=1) + "\n")
    sizes, batch = ((64, 256), 10) if device.type == "cpu" else ((256,), 55)
    slow = [Case(size, batch, denoiser) for size in sizes for denoiser in (False, True)]
    results["reference"] = [report(reference_ratio(case, device)) for case in slow]
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n")


def report(result: dict[str, Any]) -> dict[str, Any]:
    """Print a result and return it."""
    print(json.dumps(result), flush=True)
    return result


if __name__ == "__main__":
    main()
