"""Draws that planned looks save at equal certified area: python -m benchmarks.looks NAME=RUN ...

RUN is the folder results/<run> of a run with `keep_draws: true` and `n` of at least 300; NAME is its name in the
results. The label maps of the draws are put into random orders, which are equally probable. For each order, image and
`stop_at_abstention`, the benchmark finds the look at which the draws would end. It makes two comparisons with a fixed
n: with the least n that certifies the same mean area, and with the n of the last look, which lets about as many images
reach `stop_at_abstention`.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segcert.certification.certificate import ABSTAIN, Certificate, certify
from segcert.certification.looks import Looks
from segcert.votes import Votes, load_votes

N0, NS, SHARES, METHODS, ORDERS = 10, (60, 110, 300), (0.02, 0.05, 0.1, 0.2), ("segcertify", "holm"), 3
FIXED = range(60, 301, 10)
RESULTS = Path(__file__).parent / "results/looks.json"


def prefixes(votes: Votes, rng: np.random.Generator) -> dict[int, Votes]:
    """Return votes of the first n estimation draws in a random order, for all n that are compared."""
    maps, classes, n0 = votes.label_maps(), len(votes.estimation), votes.n0
    maps = maps[rng.permutation(len(maps))]
    counts = np.cumsum(np.stack([maps[n0:] == each for each in range(classes)], axis=1), axis=0, dtype=np.uint16)
    selection = np.stack([(maps[:n0] == each).sum(axis=0) for each in range(classes)])
    return {n: Votes.from_counts(selection, counts[n - 1], votes.sigma) for n in sorted({*NS, *FIXED})}


def area(certificate: Certificate) -> float:
    """Share of pixels that are certified."""
    return float(np.mean(certificate.labels != ABSTAIN))


def compare(files: Sequence[Path], method: str) -> list[dict[str, Any]]:
    """Return a row per share that may abstain: mean draws and area with looks, and the fixed n of the same area."""
    rng = np.random.default_rng(0)
    fixed: dict[int, list[float]] = {n: [] for n in FIXED}
    looked: dict[float, list[tuple[int, float]]] = {share: [] for share in SHARES}
    for votes in (each for file in files for each in load_votes(file).values()):
        for _ in range(ORDERS):
            first = prefixes(votes, rng)
            for n in FIXED:
                fixed[n].append(area(certify(first[n], method=method)))
            decided = {n: area(Looks(NS, method=method).certify(first[n])) for n in NS}
            for share in SHARES:
                n = next((n for n in NS if 1 - decided[n] <= share), NS[-1])
                looked[share].append((n, decided[n]))
    areas = {n: float(np.mean(values)) for n, values in fixed.items()}
    rows: list[dict[str, Any]] = []
    for share, values in looked.items():
        drawn, certified = (float(np.mean(each)) for each in zip(*values, strict=True))
        same = next((n for n in FIXED if areas[n] >= certified - 1e-9), None)
        looks: dict[str, Any] = {"stop_at_abstention": share, "n": round(drawn, 1), "area": round(certified, 4)}
        saved = None if same is None else round(1 - (N0 + drawn) / (N0 + same), 3)
        looks |= {"fixed_n_of_same_area": same, "saved_at_same_area": saved}
        looks["reached"] = round(float(np.mean([1 - area <= share for _, area in values])), 3)
        looks["reached_by_last_n"] = round(float(np.mean([1 - area <= share for area in fixed[NS[-1]]])), 3)
        rows.append(looks | {"saved_against_last_n": round(1 - (N0 + drawn) / (N0 + NS[-1]), 3)})
    return rows


def main(runs: Sequence[str]) -> None:
    """Compare looks with a fixed n for each pairing and noise level of the runs, and write the results."""
    found = {}
    for name, folder in (run.split("=", 1) for run in runs):
        for sigma in sorted(Path(folder).glob("votes/*/*/*/sigma_*")):
            pairing = "/".join(sigma.parts[-3:])
            files = sorted(sigma.glob("*.npz"))
            found[f"{name}/{pairing}"] = {method: compare(files, method) for method in METHODS}
            print(name, pairing, found[f"{name}/{pairing}"]["segcertify"], flush=True)
    document = {"looks": NS, "tau": 0.75, "alpha": 0.001, "orders": ORDERS, "rows": found}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
