"""Plant errors in a finished run's certificates and count those that its attacks find.

Usage: python -m benchmarks.attacks CHECKOUT [--run phantom] [--images 1] [--out FILE]. The run must be finished in
CHECKOUT. One planted error is a radius that is too large by a factor. The other is noise whose standard deviation is
half of sigma, as if pixels in [0, 1] were taken for pixels in [-1, 1]. Attacks have the default settings.
"""

import argparse
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import torch

from segcert.certification.certificate import certified_radius, certify
from segcert.config.sections import Attack
from segcert.data.dataset import PreparedDataset
from segcert.networks.runtime import set_up_torch
from segcert.smoothing.attacked_images import attacked_images
from segcert.smoothing.shard import Pairing
from segcert.votes import load_votes

TAU, ALPHA, N0, N = 0.75, 0.001, 10, 100
ERRORS = {"none": (1.0, 1.0), "radius x 1.5": (1.5, 1.0), "radius x 2": (2.0, 1.0), "noise / 2": (1.0, 0.5)}
SETTINGS = Attack().model_dump(exclude={"images"})
DECIMALS = 4


def tried(votes_file: Path, checkout: Path, images: int, error: str, device: torch.device) -> list[dict[str, Any]]:
    """Attack the first images of a pairing and noise level, with an error planted; return a row per attack."""
    overstated, less_noise = ERRORS[error]
    *_, dataset_name, network, denoiser, level, _ = votes_file.parts
    sigma, dataset = (
        float(level.removeprefix("sigma_")),
        PreparedDataset(checkout / f"data/prepared/{dataset_name}/index.csv"),
    )
    folder = None if denoiser == "none" else checkout / f"models/denoiser/{dataset_name}"
    pairing = Pairing(checkout / f"models/segmenter/{dataset_name}/{network}", folder)
    smoothed = pairing.smoothed_segmenter(sigma * less_noise, device=device, batch_size=10)
    radius, rows = overstated * certified_radius(sigma, TAU), []
    for name, votes in list(load_votes(votes_file).items())[:images]:
        drawn = votes if less_noise == 1 else smoothed.sample(dataset.image(name), N0, N)
        labels = certify(drawn, TAU, ALPHA).labels
        asked = SETTINGS | {"tau": TAU, "radius": radius, "promised": TAU}
        results = attacked_images(smoothed, dataset.image(name), drawn, labels, **asked)
        for factor, result in zip(SETTINGS["factors"], results, strict=True):
            found = {key: round(value, DECIMALS) for key, value in dataclasses.asdict(result).items()}
            about = {"error": error, "network": network, "denoiser": denoiser, "sigma": sigma, "image": name}
            rows.append(about | {"factor": factor} | found)
    return rows


def main() -> None:
    """Attack every pairing and noise level with every error; write the rows and a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--run", default="phantom")
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    device = set_up_torch("cpu", int(os.environ.get("OMP_NUM_THREADS", "1")))
    files = sorted((asked.checkout / f"results/{asked.run}/votes").glob("*/*/*/sigma_*/shard_0.npz"))
    rows: list[dict[str, Any]] = []
    for error in ERRORS:
        for file in files:
            rows += tried(file, asked.checkout, asked.images, error, device)
            print(json.dumps(rows[-1]), flush=True)
    summary = {}
    for error in ERRORS:
        images: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for row in rows:
            if row["error"] == error:
                images.setdefault(tuple(row[key] for key in ("network", "denoiser", "sigma", "image")), []).append(row)
        summary[error] = {
            "attacked": len(images),
            "refuted": sum(any(row["refuted"] for row in attacks) for attacks in images.values()),
            "draws": sum(rows[0]["clean_draws"] + sum(row["draws"] for row in rows) for rows in images.values()),
        }
    print(json.dumps(summary, indent=1))
    if asked.out:
        lines = ",\n".join(json.dumps(row) for row in rows)
        head = f'{{"settings": {json.dumps(SETTINGS)},\n"summary": {json.dumps(summary)},\n'
        asked.out.write_text(f'{head}"rows": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
