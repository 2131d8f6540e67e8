"""Measure what changes the rounding of logits on a CPU: python -m benchmarks.rounding.

Each network computes the logits of the same image with other batch sizes, numbers of threads and instruction sets. The
result is the largest difference from the logits with batches of 10, one thread and all instructions, relative to the
largest logit; 0 means that every bit is the same. What changes a bit belongs in the key of stored draws.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "scripts")]

import io
import json
import os
import subprocess

import numpy as np
import torch

from segcert.networks.registry import build_segmenter

NETWORKS = {"unet": {"width": 16, "depth": 3}, "resunetpp": {"width": 16}, "deeplabv3plus": {"width": 32}}
BATCHES, THREADS = (1, 8, 10, 32), (1, 2, 3, 4, 8)
SIZE = 64


def logits(name: str, batch_size: int, threads: int) -> torch.Tensor:
    """Return the logits of one image, which is the first of a batch."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = build_segmenter(name, {"in_channels": 1, "num_classes": 3} | NETWORKS[name]).eval()
    images = torch.rand(max(BATCHES), 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))[:batch_size]
    model = model.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        first: torch.Tensor = model(images.contiguous(memory_format=torch.channels_last))[0].clone()
    return first


def with_avx2(name: str) -> torch.Tensor:
    """Return the logits of a process that uses AVX2 only."""
    code = (
        "import io, sys, numpy as np; from benchmarks.rounding import logits; buffer = io.BytesIO();"
        f"np.save(buffer, logits({name!r}, 10, 1).numpy()); sys.stdout.buffer.write(buffer.getvalue())"
    )
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'scripts'}"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    return torch.from_numpy(np.load(io.BytesIO(done.stdout)))


def main() -> None:
    """Write the relative differences of all networks to results/rounding.json."""
    found: dict[str, dict[str, float]] = {}
    for name in NETWORKS:
        usual = logits(name, 10, 1)
        cases = {f"batches of {size}, 1 thread": logits(name, size, 1) for size in BATCHES}
        cases |= {f"batches of 10, {threads} threads": logits(name, 10, threads) for threads in THREADS[1:]}
        cases["batches of 10, 1 thread, AVX2 only"] = with_avx2(name)
        scale = float(usual.abs().max())
        found[name] = {case: float((each - usual).abs().max()) / scale for case, each in cases.items()}
    about = {"torch": torch.__version__, "processor": torch.backends.cpu.get_cpu_capability()}
    about |= {"image": f"{SIZE}x{SIZE}"}
    path = ROOT / "benchmarks/results/rounding.json"
    path.write_text(json.dumps(about | {"relative_difference": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
