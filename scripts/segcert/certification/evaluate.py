"""Certificates and their metrics for the test images of one model at one noise level."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segcert.certification.certificate import Certificate, certify, radius_in_gray_levels
from segcert.certification.metrics import class_metrics
from segcert.data.loading import PreparedDataset
from segcert.progress import track
from segcert.provenance.atomic import save_arrays
from segcert.votes import load_votes


def certify_images(
    index: str | Path, votes: Iterable[str | Path], labels: str | Path, *, tau: float, alpha: float, method: str
) -> dict[str, Certificate]:
    """Certify every image of the votes files; write the labels (H, W), ABSTAIN = 255, by image name to `labels`."""
    drawn = {image: vote for path in votes for image, vote in load_votes(path).items()}
    order = [row["image"] for row in PreparedDataset(Path(index)).rows if row["image"] in drawn]
    certificates = {image: certify(drawn[image], tau, alpha, method) for image in track(order, "certifying")}
    save_arrays(labels, {image: certificate.labels for image, certificate in certificates.items()})
    return certificates


def metric_rows(
    index: str | Path,
    predictions: Mapping[str, npt.NDArray[np.uint8]],
    certificates: Mapping[str, Certificate],
    about: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """A row per image and foreground class: `about` (model, regime, denoiser), the settings, and the metrics."""
    dataset = PreparedDataset(Path(index))
    classes = dataset.about["classes"]
    rows = []
    for image, certificate in certificates.items():
        truth = dataset.mask(image)
        shared = {
            "dataset": dataset.about["name"],
            "image": image,
            "group": dataset.group(image),
            **about,
            "sigma": certificate.sigma,
            "tau": certificate.tau,
            "alpha": certificate.alpha,
            "n0": certificate.n0,
            "n": certificate.n,
            "method": certificate.method,
            "abstain": certificate.abstain,
            "radius": certificate.radius,
            "radius_gray_levels": radius_in_gray_levels(certificate.radius, truth.size * dataset.about["channels"]),
        }
        for class_id in range(1, len(classes)):
            metrics = class_metrics(truth, predictions[image], certificate.labels, class_id)
            rows.append({**shared, "class_id": class_id, "class_name": classes[class_id], **metrics})
    return rows
