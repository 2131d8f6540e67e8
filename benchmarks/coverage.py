"""Measure how often 95% intervals of a mean contain the true mean: python -m benchmarks.coverage.

Intervals of `mean_interval` are compared with the percentile bootstrap over images, which segcert used before. Samples
are drawn from populations whose mean is known. Images are independent or belong to groups: then, with probability SHARE
an image has the value of its group, so two images of one group have the correlation SHARE squared. A coverage from RUNS
samples has a standard error below 0.5 points. The results are in results/coverage.json.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segcert.results.confidence import mean_interval

Array = npt.NDArray[Any]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]

RUNS = 10_000
RESAMPLES = 2000
SHARE = 0.7
FAILED = 0.08  # share of images on which a network fails
OUTPUT = Path(__file__).parent / "results/coverage.json"


def with_failures(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw values like Dice, of which the share FAILED lies between 0 and 0.2."""
    failed = rng.random(shape) < FAILED
    return np.where(failed, rng.uniform(0, 0.2, shape), rng.beta(12, 1.5, shape))


POPULATIONS: dict[str, tuple[Draw, float]] = {  # name: (function that draws values, true mean)
    "normal": (lambda rng, shape: rng.normal(size=shape), 0.0),
    "beta(12, 1.5)": (lambda rng, shape: rng.beta(12, 1.5, shape), 12 / 13.5),
    "beta(12, 1.5), 8% failed": (with_failures, (1 - FAILED) * 12 / 13.5 + FAILED * 0.1),
}
GROUPS = {  # name: group of each image
    **{f"{images} images": np.arange(images) for images in (4, 8, 12, 20, 30, 60, 100)},
    **{f"{groups} groups of 2 to 6": np.repeat(np.arange(groups), np.resize([2, 3, 4, 5, 6], groups))
       for groups in (10, 12, 20, 30)},
    "20 groups, one with half of the images": np.repeat(np.arange(20), [76, *np.resize([2, 3, 4, 5, 6], 19)]),
}  # fmt: skip


def draw_samples(draw: Draw, groups: Array, runs: int, seed: int) -> Array:
    """Draw samples, shape (runs, images), of images in the given groups."""
    rng = np.random.default_rng(seed)
    own = draw(rng, (runs, len(groups)))
    count = groups.max() + 1
    if count == len(groups):
        return own
    of_group = draw(rng, (runs, count))[:, groups]
    return np.where(rng.random(own.shape) < SHARE, of_group, own)


def current(samples: Array, groups: Array) -> Array:
    """Return the intervals of `mean_interval`, shape (2, runs)."""
    return np.array([mean_interval(sample, groups)[1:] for sample in samples]).T


def percentile(samples: Array, groups: Array) -> Array:
    """Return percentile bootstrap intervals over images, shape (2, runs)."""
    images = len(groups)
    picks = np.random.default_rng(0).integers(0, images, (RESAMPLES, images))
    weights = np.stack([np.bincount(pick, minlength=images) for pick in picks]) / images
    parts = [np.quantile(weights @ part.T, [0.025, 0.975], axis=0) for part in np.array_split(samples, 20)]
    return np.concatenate(parts, axis=1)


def coverage(intervals: Array, truth: float) -> dict[str, float]:
    """Return the share of intervals that contain the true mean, lie below it and lie above it; the median width."""
    low, high = intervals
    below, above = float((high < truth).mean()), float((low > truth).mean())
    width = float(np.median(high - low))
    return {"covers": round(1 - below - above, 4), "below": below, "above": above, "median_width": round(width, 4)}


def main() -> None:
    """Measure all cases; print and write the results."""
    results: dict[str, dict[str, Any]] = {}
    for population, (draw, truth) in POPULATIONS.items():
        for seed, (case, groups) in enumerate(GROUPS.items()):
            samples = draw_samples(draw, groups, RUNS, seed)
            found = {method.__name__: coverage(method(samples, groups), truth) for method in (current, percentile)}
            results.setdefault(population, {})[case] = found
            print(population, case, {name: each["covers"] for name, each in found.items()}, flush=True)
    OUTPUT.write_text(json.dumps({"runs": RUNS, "resamples": RESAMPLES, "coverage": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
