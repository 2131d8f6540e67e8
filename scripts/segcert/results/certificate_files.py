"""The certificate files for one noise level, which are computed from votes."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from segcert.certification.certificate import Certificate, certify
from segcert.certification.methods import alpha_per_look
from segcert.data.dataset import PreparedDataset
from segcert.io.arrays import save_arrays
from segcert.io.atomic import atomic_file
from segcert.io.progress import track
from segcert.results.budget_rows import budget_rows
from segcert.results.image_rows import Labels, interval_rows, metric_rows, read_votes
from segcert.results.radius_rows import RadiusLevels, radius_levels, radius_rows, save_radii, tau_grid
from segcert.votes import Votes


class Decision(NamedTuple):
    """Results that are computed from the votes of one image at one noise level.

    `rows` maps each kind of results (segcert.results.kinds), except the budget forecast, to rows of a table.
    """

    certificate: Certificate
    radii: RadiusLevels
    rows: dict[str, list[dict[str, Any]]]


def decide(
    dataset: PreparedDataset,
    image: str,
    votes: Votes,
    prediction: Labels,
    about: Mapping[str, str],
    *,
    settings: Mapping[str, Any],
    measurements: list[str],
    thresholds: Mapping[str, float],
) -> Decision:
    """Certify an image from its votes.

    Parameters
    ----------
    prediction
        Labels that the network predicts for the image without noise, shape (H, W).
    about
        Values of the columns `model`, `regime` and `denoiser`.
    settings
        The settings `tau`, `alpha`, `method`, `k` and, if looks were planned, `looks` (see `certify`).
    measurements, thresholds
        Specifications of measurements, and a dict that maps names of measurements to thresholds (see `interval_rows`).
    """
    certificate, taus = certify(votes, **settings), tau_grid(settings["tau"])
    tau, level = certificate.tau, certificate.level
    radii = radius_levels(votes, taus, level, settings["method"])
    rows = {
        "metrics": metric_rows(dataset, image, votes, prediction, certificate, about),
        "intervals": interval_rows(
            dataset,
            image,
            votes,
            prediction,
            about,
            measurements=measurements,
            thresholds=thresholds,
            tau=tau,
            alpha=level,
        ),
        "radii": radius_rows(dataset, image, radii, about, taus=taus, sigma=votes.sigma, alpha=certificate.alpha),
    }
    return Decision(certificate, radii, rows)


def write_certificates(
    dataset: PreparedDataset,
    votes: Iterable[str | Path],
    predictions: Mapping[str, Labels],
    about: Mapping[str, str],
    files: Mapping[str, str],
    *,
    settings: Mapping[str, Any],
    **asked: Any,
) -> dict[str, dict[str, Any]]:
    """Certify all images at one noise level (see `decide`), and write the labels, the radius maps and the table rows.

    `files` maps each kind of results to the path of the file to write. Labels and maps are written to `.npz` files, and
    metrics, intervals, budget and radii to `.parquet` files. Returns a dict that maps each image to its settings, for
    the ledger of decisions.
    """
    drawn, taus = read_votes(dataset, votes), tau_grid(settings["tau"])
    sigma = next(iter(drawn.values())).sigma
    decided = {}
    for image, each in track(drawn.items(), f"certifying at {sigma:g}"):
        decided[image] = decide(dataset, image, each, predictions[image], about, settings=settings, **asked)
    save_arrays(files["labels"], {image: decision.certificate.labels for image, decision in decided.items()})
    save_radii(files["maps"], {image: decision.radii for image, decision in decided.items()}, taus, sigma)
    level = alpha_per_look(settings["alpha"], settings.get("looks", []))
    tables = {"budget": budget_rows(dataset, drawn, about, settings={**settings, "alpha": level})}
    for decision in decided.values():
        for kind, rows in decision.rows.items():
            tables.setdefault(kind, []).extend(rows)
    for kind, rows in tables.items():
        with atomic_file(files[kind]) as path:
            pd.DataFrame(rows).to_parquet(path, index=False)
    return {image: {**drawn[image].origin, **each.certificate.decision()} for image, each in decided.items()}
