"""Measure the speed of training: python -m benchmarks.training.

For each kind of network, the benchmark measures the images per second of complete training steps (forward, backward,
optimiser, moving average) on random images, and the peak memory. On a GPU, it also measures mixed precision. To compare
machines, compare ratios between cases of the same run. This file can also be run as a script, without installing the
project.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "scripts")]  # replaces this folder, whose statistics.py would hide Python's

import json
import platform
import resource
import statistics
import tempfile
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segcert.config.networks import Denoiser, Segmenter
from segcert.networks.registry import build_segmenter
from segcert.networks.runtime import device_name, set_up_torch
from segcert.training.denoiser import build_unet
from segcert.training.launch import accelerator_on
from segcert.training.loop import train
from segcert.training.state import Checkpoint

SEGMENTERS = ("unet", "resunetpp", "deeplabv3plus")
WARM_UP = 3


def case(kind: str, precision: str, device: torch.device) -> dict[str, Any]:
    """Return the images per second and the peak memory of one kind of network at one precision."""
    on_gpu = device.type == "cuda"
    size, batch, steps = (256, 32, 20) if on_gpu else (64, 8, 12)
    settings = (Denoiser if kind == "denoiser" else Segmenter)(steps=steps, batch_size=batch, evaluate_every=steps)
    wide = 8 if on_gpu else 1
    torch.manual_seed(0)
    if kind == "denoiser":
        sizes = {"channels": [16 * wide, 32 * wide, 64 * wide], "layers_per_block": 1}
        model = build_unet(sizes, 1, size)
    else:
        sizes = {"width": 8 * wide} | ({"depth": 4} if kind == "unet" else {})
        model = build_segmenter(kind, {"in_channels": 1, "num_classes": 2, **sizes})
    accelerator = accelerator_on(device, precision)
    model = model.to(device, memory_format=torch.channels_last)
    x = torch.rand(batch, 1, size, size).to(device, memory_format=torch.channels_last)
    one_hot = torch.cat([x < 0.5, x >= 0.5], dim=1).float()
    times: list[float] = []

    def loss_of(model: nn.Module, batch: Tensor, generator: torch.Generator) -> Tensor:
        if on_gpu:
            torch.cuda.synchronize()
        times.append(time.perf_counter())
        if kind == "denoiser":
            return F.mse_loss(model(x, torch.full((len(x),), 300, device=device), return_dict=False)[0], x)
        return -(one_hot * model(x).log_softmax(dim=1)).mean()

    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        train(
            model,
            loss_of,
            lambda kept: {"score": 0.0},
            [str(number) for number in range(batch)],
            what=kind,
            section="none",
            settings=settings.model_dump(),
            seed=0,
            accelerator=accelerator,
            folder=folder,
            checkpoint=Checkpoint(Path(folder) / "checkpoint.pt", ""),
        )
    steps_s = [later - earlier for earlier, later in zip(times[WARM_UP:], times[WARM_UP + 1 :], strict=False)]
    used = (
        torch.cuda.max_memory_allocated() / 2**20
        if on_gpu
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    return {
        "network": kind,
        "precision": precision,
        "size": size,
        "batch_size": batch,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        **sizes,
        "images_per_second": round(batch / statistics.median(steps_s), 1),
        "peak_memory_mib" if on_gpu else "peak_memory_mib_of_the_process": round(used),
    }


def main() -> None:
    """Measure every kind of network and write benchmarks/results/training-<device>.json."""
    device = set_up_torch("auto", torch.get_num_threads())
    rows = []
    for precision in ("float32", "bfloat16") if device.type == "cuda" else ("float32",):
        rows += [case(kind, precision, device) for kind in (*SEGMENTERS, "denoiser")]
        print(json.dumps(rows[-4:], indent=2))
        about = {
            "device": device_name(device),
            "torch": torch.__version__,
            "machine": platform.machine(),
            "cases": rows,
        }
        path = ROOT / "benchmarks" / "results" / f"training-{device.type}.json"
        path.write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    main()
