"""Compare ways to change certified Dice at equal cost: python -m benchmarks.equal_cost ARCHIVES WORK [OUTPUT].

The cached votes of real_votes.py are replayed. Three ways need no further network evaluations, and the last makes
evaluations cheaper:

- filter: each draw's label map is smoothed by a majority vote over a window before it is counted. Like any network, the
  filtered network is a function of the noisy image, so its certificates are valid.
- radius: the same radius sigma * Phi^-1(tau) results from a lower sigma and a higher tau, or vice versa.
- method: the method is segcertify or holm.
- pool: networks that see the noisy 256x256 image averaged over blocks of 2x2 pixels are compared with networks at
  256x256. Their votes are drawn and timed here.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.ndimage import uniform_filter
from scipy.stats import norm

from benchmarks.real_votes import CASES, IMAGES, Case, draw
from segcert.certification.certificate import ABSTAIN, certify
from segcert.certification.methods import CertificationError
from segcert.certification.metrics import class_metrics
from segcert.data.dataset import PreparedDataset
from segcert.networks.registry import load_segmenter
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.votes import Votes

Array = npt.NDArray[Any]

ALPHA, N0 = 0.001, 10
WINDOWS = (1, 3, 5, 9)
RADII = (0.0843, 0.1686, 0.3372)
BUDGETS = (110, 300)


def votes_of(label_maps: Array, total: int, sigma: float) -> Votes:
    """Return the votes of the first `total` label maps, which have two classes."""
    ones = [label_maps[:N0].sum(axis=0), label_maps[N0:total].sum(axis=0)]
    return Votes.from_counts(
        *(np.stack([n - wins, wins]) for n, wins in zip((N0, total - N0), ones, strict=True)), sigma
    )


def scores(case: Case, drawn: dict[str, Votes], truths: dict[str, Array], **options: Any) -> dict[str, float]:
    """Return the certified Dice, worst-case Dice and abstention, as means over images."""
    window, total = options.pop("window", 1), options.pop("total", 110)
    rows = []
    for name, votes in drawn.items():
        label_maps = votes.label_maps()[:total].astype(np.int64)
        if window > 1:
            label_maps = (uniform_filter(label_maps.astype(float), (0, window, window)) > 0.5).astype(np.int64)
        try:
            labels = certify(votes_of(label_maps, total, case.sigma), alpha=ALPHA, **options).labels
        except CertificationError:
            labels = np.full(truths[name].shape, ABSTAIN)
        metrics = class_metrics(truths[name], truths[name], labels, 1)
        rows.append((metrics["certified_dice"], metrics["worst_case_dice"], np.mean(labels == ABSTAIN)))
    return dict(
        zip(("certified_dice", "worst_case_dice", "abstain"), np.mean(rows, axis=0).round(4).tolist(), strict=True)
    )


def pooled(work: Path, sigma: float) -> dict[str, Any]:
    """Compare networks at 256x256 with networks that see averages over 2x2 pixels, on Montgomery at 256x256."""
    dataset = PreparedDataset(work / "montgomery_256" / "data" / "index.csv")
    result: dict[str, Any] = {"sigma": sigma}
    for name, pool in (("montgomery_256", 1), ("montgomery_128", 2)):
        model, _ = load_segmenter(work / name / "noise")
        smoothed = SmoothedSegmenter(model, sigma, 2, batch_size=10, pool=pool)
        rows, start = [], time.perf_counter()
        for image in dataset.names("test", IMAGES):
            labels = certify(smoothed.sample(dataset.image(image), N0, 100), alpha=ALPHA).labels
            metrics = class_metrics(dataset.mask(image), dataset.mask(image), labels, 1)
            rows.append((metrics["certified_dice"], metrics["worst_case_dice"], np.mean(labels == ABSTAIN)))
        means = np.mean(rows, axis=0).round(4).tolist()
        result[f"pool {pool}"] = dict(zip(("certified_dice", "worst_case_dice", "abstain"), means, strict=True))
        result[f"pool {pool}"]["seconds_per_draw"] = round((time.perf_counter() - start) / len(rows) / 110, 5)
    return result


def main(archives: Path, work: Path, output: Path) -> None:
    """Replay every case and write the results."""
    results = []
    torch.set_num_threads(1)
    for case in CASES:
        drawn = dict(draw(case, archives, work))
        dataset = PreparedDataset(work / case.name / "data" / "index.csv")
        truths = {name: dataset.mask(name) for name in drawn}
        result = {
            "case": case.file,
            "filter": {str(window): scores(case, drawn, truths, window=window) for window in WINDOWS},
            "method": {method: scores(case, drawn, truths, method=method) for method in ("segcertify", "holm")},
            "radius": {
                str(radius): {
                    str(total): scores(case, drawn, truths, tau=float(norm.cdf(radius / case.sigma)), total=total)
                    for total in BUDGETS
                }
                for radius in RADII
            },
        }
        print(json.dumps(result), flush=True)
        results.append(result)
    pools = [pooled(work, sigma) for sigma in (0.25, 0.5, 1.0)]
    print(json.dumps(pools))
    lines = ",\n".join(map(json.dumps, results))  # one case per line
    output.write_text(f'{{"replayed": [\n{lines}\n],\n"pool": {json.dumps(pools)}}}\n')


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(*sys.argv[3:4] or ["benchmarks/results/equal_cost.json"]))
