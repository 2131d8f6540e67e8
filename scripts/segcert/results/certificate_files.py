"""From the votes of a noise level to the files of its certificates."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from segcert.certification.certificate import certify
from segcert.data.dataset import PreparedDataset
from segcert.io.arrays import save_arrays
from segcert.io.atomic import atomic_file
from segcert.io.progress import track
from segcert.results.budget_rows import budget_rows
from segcert.results.image_rows import Labels, interval_rows, metric_rows, read_votes
from segcert.results.radius_rows import radius_levels, radius_rows, save_radii, tau_grid


def write_certificates(
    dataset: PreparedDataset,
    votes: Iterable[str | Path],
    predictions: Mapping[str, Labels],
    about: Mapping[str, str],
    files: Mapping[str, str],
    *,
    settings: Mapping[str, Any],
    measurements: list[str],
    thresholds: Mapping[str, float],
) -> None:
    """Decide the votes of one noise level and write labels, radius maps and the rows of the tables.

    `about` names the model, its regime and its denoiser, `files` where each kind goes: labels and maps as `.npz`,
    metrics, intervals, budget and radii as `.parquet`. `settings` are tau, alpha, method and k.
    """
    drawn = read_votes(dataset, votes)
    tau, alpha, taus = settings["tau"], settings["alpha"], tau_grid(settings["tau"])
    sigma = next(iter(drawn.values())).sigma
    certificates = {
        image: certify(each, **settings) for image, each in track(drawn.items(), f"certifying at {sigma:g}")
    }
    maps = {image: radius_levels(each, taus, alpha, settings["method"]) for image, each in drawn.items()}
    save_arrays(files["labels"], {image: certificate.labels for image, certificate in certificates.items()})
    save_radii(files["maps"], maps, taus, sigma)
    asked = {"measurements": measurements, "thresholds": thresholds, "tau": tau, "alpha": alpha}
    tables = {
        "metrics": metric_rows(dataset, predictions, certificates, about),
        "intervals": interval_rows(dataset, drawn, predictions, about, **asked),
        "budget": budget_rows(dataset, drawn, about, settings=settings),
        "radii": radius_rows(dataset, maps, about, taus=taus, sigma=sigma, alpha=alpha),
    }
    for kind, rows in tables.items():
        with atomic_file(files[kind]) as path:
            pd.DataFrame(rows).to_parquet(path, index=False)
