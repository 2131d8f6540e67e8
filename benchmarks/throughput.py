"""How much of the networks' own speed sampling keeps: python benchmarks/throughput.py [--device cuda] [--output FILE].

Two ratios, each measured inside one run, in turns, as the median over rounds:

- loop: draws per second of the whole sampling loop (noise, batches, votes, blocks) over the bare forward passes of
  denoiser and segmenter on the same noisy batches;
- reference: the whole certification of an image over the reference way of doing it, written here on its own: one copy
  at a time, noise from numpy, labels to the host, a binomial test for each pixel.

Networks have random weights: speed does not depend on them. On a GPU also bfloat16 and the agreement of CPU and GPU.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # run as a script: its folder would hide Python's own `statistics`
sys.path.insert(1, str(Path(__file__).parents[1] / "scripts"))

import argparse
import dataclasses
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest, norm

from segcert.certification.certificate import certify
from segcert.diffusion.denoiser import DiffusionDenoiser
from segcert.models.runtime import device_name, set_up_torch
from segcert.models.unet import UNet
from segcert.smoothing.segmenter import SmoothedSegmenter
from segcert.training.denoiser import build_unet

SIGMA, N0, N, TAU, ALPHA = 0.5, 10, 100, 0.75, 0.001
LEAST_S = 10.0  # measured for so long, and for so many rounds


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


CPU_CASES = [
    *(Case(size, batch, denoiser) for size in (64, 128) for denoiser in (False, True) for batch in (10, 22)),
    Case(64, 10, True, noise="exact"),
    Case(64, 10, False, noise="exact"),
]
GPU_CASES = [
    Case(256, batch, denoiser, precision=precision, compiled=compiled)
    for denoiser in (False, True)
    for batch in (32, 128)
    for precision in ("float32", "bfloat16")
    for compiled in (False, True)
]


def networks(case: Case, device: torch.device) -> tuple[UNet, DiffusionDenoiser | None]:
    """A U-Net and a diffusion model of the default widths (wider on a GPU)."""
    torch.manual_seed(0)
    wide = 8 if device.type == "cuda" else 1
    model = UNet(case.channels, 2, width=8 * wide, depth=3).eval()
    if not case.denoiser:
        return model, None
    settings = {"channels": [16 * wide, 32 * wide, 64 * wide], "layers_per_block": 1}
    betas = torch.linspace(1e-4, 0.02, 1000)
    return model, DiffusionDenoiser(build_unet(settings, case.channels, case.size), torch.cumprod(1 - betas, 0))


def smoothed_of(case: Case, device: torch.device) -> SmoothedSegmenter:
    """The smoothed segmenter of a case."""
    model, denoiser = networks(case, device)
    return SmoothedSegmenter(
        model, SIGMA, 2, denoiser, case.batch_size, 0, device, case.precision, noise=case.noise, compiled=case.compiled
    )


def image_of(case: Case) -> np.ndarray:
    """A random image on the 8-bit grid."""
    pixels = np.random.default_rng(0).integers(0, 256, (case.channels, case.size, case.size))
    return (pixels / np.float32(255)).astype(np.float32)


def bare(smoothed: SmoothedSegmenter, image: np.ndarray) -> Callable[[], None]:
    """Only the forward passes, on as many noisy batches as the loop needs, made beforehand."""
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
    """Until the GPU has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(run: Callable[[], Any]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def loop_ratio(case: Case, device: torch.device, rounds: int) -> dict[str, Any]:
    """The loop's share of the bare networks' speed, and both in draws per second."""
    smoothed, image = smoothed_of(case, device), image_of(case)
    alone = bare(smoothed, image)
    alone()
    smoothed.sample(image, N0, N)
    pairs: list[tuple[float, float]] = []
    while len(pairs) < rounds or sum(map(sum, pairs)) < LEAST_S:
        pairs.append((seconds(alone), seconds(lambda: smoothed.sample(image, N0, N))))
    alone_s, loop_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    return dataclasses.asdict(case) | {
        "ratio": statistics.median(a / b for a, b in pairs),
        "loop_draws_per_s": (N0 + N) / loop_s,
        "bare_draws_per_s": (N0 + N) / alone_s,
    }


@torch.inference_mode()
def reference(smoothed: SmoothedSegmenter, image: np.ndarray) -> np.ndarray:
    """Certified labels the reference way (Fischer et al. 2021, and the released code of Laousy et al. 2023)."""
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
    """How many times faster an image is certified than the reference way."""
    smoothed, image = smoothed_of(case, device), image_of(case)
    smoothed.sample(image, N0, N)
    slow = seconds(lambda: reference(smoothed, image))
    fast = statistics.median(seconds(lambda: certify(smoothed.sample(image, N0, N), TAU, ALPHA)) for _ in range(3))
    return dataclasses.asdict(case) | {"times_faster": slow / fast, "reference_s": slow, "segcert_s": fast}


def agreement(case: Case) -> dict[str, Any]:
    """Share of labels on which CPU and GPU agree, given the same noisy copies (their noise differs)."""
    on_cpu, on_gpu = (smoothed_of(case, torch.device(name)) for name in ("cpu", "cuda"))
    x = torch.from_numpy(image_of(case))
    batch = on_cpu.noise.copies(x, "x", [("estimation", k) for k in range(case.batch_size)], case.batch_size)
    with torch.inference_mode():
        labels = [each.logits(batch.to(each.device)).argmax(dim=1).cpu() for each in (on_cpu, on_gpu)]
    return dataclasses.asdict(case) | {"labels_equal": float((labels[0] == labels[1]).double().mean())}


def main() -> None:
    """Measure all cases and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    device = set_up_torch(options.device, options.threads)
    cases = CPU_CASES if device.type == "cpu" else GPU_CASES
    results: dict[str, Any] = {
        "hardware": device_name(device),
        "processor": platform.processor(),
        "torch": torch.__version__,
    }
    results["loop"] = [report(loop_ratio(case, device, options.rounds)) for case in cases]
    slow = [Case(size, 10, denoiser) for size in (64, 256) for denoiser in (False, True)]
    results["reference"] = [report(reference_ratio(case, device)) for case in slow]
    if device.type == "cuda":
        results["agreement"] = [report(agreement(Case(64, 32, denoiser))) for denoiser in (False, True)]
    if options.output:
        options.output.write_text(json.dumps(results, indent=1) + "\n")


def report(result: dict[str, Any]) -> dict[str, Any]:
    """Print a result and hand it on."""
    print(json.dumps(result), flush=True)
    return result


if __name__ == "__main__":
    main()
