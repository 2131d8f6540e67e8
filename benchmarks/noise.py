"""Measure the cost of exact noise: python -m benchmarks.noise [OUTPUT].

The time per value of `rounded_gaussian_` is compared with that of the keyed float32 normals that `noise: normal` draws.
It is also compared with torch.randn, whose CPU generator has too small a seed for keys. The three are timed alternately
in one thread, and the results are medians in nanoseconds.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from segcert.networks.runtime import keep_freed_memory
from segcert.smoothing.exact_noise import rounded_gaussian_
from segcert.smoothing.noise import draw_key, standard_normal_

SHAPE = (3, 256, 256)
ROUNDS = 30


def main() -> None:
    """Measure noise for 8, 12 and 16 bits at three noise levels."""
    torch.set_num_threads(1)
    keep_freed_memory()
    out = torch.empty(SHAPE)
    key = draw_key(0, "benchmark", "estimation", 0)
    results = []
    for bits in (8, 12, 16):
        for sigma in (0.25, 0.5, 1.0):
            scale = sigma * (2**bits - 1)
            ways: dict[str, Callable[[], object]] = {
                "exact": lambda scale=scale: rounded_gaussian_(out, scale, key),
                "normal": lambda: standard_normal_(out, key),
                "torch_randn": lambda: torch.randn(SHAPE, out=out),
            }
            times: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(ROUNDS):
                for name, draw in ways.items():
                    start = time.perf_counter()
                    draw()
                    times[name].append((time.perf_counter() - start) / out.numel() * 1e9)
            medians = {name: round(statistics.median(each[1:]), 2) for name, each in times.items()}
            ratios = {f"over_{name}": round(medians["exact"] / medians[name], 2) for name in ("normal", "torch_randn")}
            results.append({"bits": bits, "sigma": sigma, "ns_per_value": medians, **ratios})
            print(json.dumps(results[-1]), flush=True)
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
