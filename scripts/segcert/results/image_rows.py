"""Certificates and their metrics for the test images of one model at one noise level."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segcert.certification.certificate import Certificate, radius_in_gray_levels
from segcert.certification.median_smoothing import CertifiedInterval, certify_measurements
from segcert.certification.metrics import class_metrics
from segcert.data.dataset import PreparedDataset
from segcert.measurements import measurements_of
from segcert.provenance.digests import array_digest
from segcert.votes import Votes, VotesError, iterate_votes

Labels = npt.NDArray[np.uint8]


def read_votes(dataset: PreparedDataset, files: Iterable[str | Path]) -> dict[str, Votes]:
    """The votes of some files by image, in the order of the index. Raises VotesError for votes of other images."""
    drawn = {image: votes for path in files for image, votes in votes_of(dataset, path)}
    return {image: drawn[image] for image in dataset.rows if image in drawn}


def votes_of(dataset: PreparedDataset, path: str | Path) -> Iterator[tuple[str, Votes]]:
    """The votes of a file, image by image, each compared with the image. Raises VotesError for those of others."""
    for image, votes in iterate_votes(path):
        if image not in dataset.rows:
            raise VotesError(f"{path}: holds votes of {image}, but {dataset.index} has no such image; sample again")
        if votes.origin.get("image") != array_digest(dataset.image(image)):
            raise VotesError(
                f"{path}: the votes of {image} were drawn from another image than {dataset.index} names; sample again"
            )
        yield image, votes


def about_image(dataset: PreparedDataset, image: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """The first columns of each row: data set, image and group, and `about` (model, regime, denoiser)."""
    return {"dataset": dataset.about["name"], "image": image, "group": dataset.group(image), **about}


def interval_rows(
    dataset: PreparedDataset,
    drawn: Mapping[str, Votes],
    predictions: Mapping[str, Labels],
    about: Mapping[str, Any],
    *,
    measurements: Sequence[str],
    thresholds: Mapping[str, float],
    tau: float,
    alpha: float,
) -> list[dict[str, Any]]:
    """A row per image and measurement: its value in the ground truth and on the clean prediction, and its interval.

    `measurements` are specifications (segcert.measurements), taken in mm where the pixel size of an image is known.
    The Dice of each foreground class counts as a measurement (without a value in the ground truth). alpha is shared
    among all measurements of an image; the column alpha is the share of the row.
    """
    rows = []
    for image, votes in drawn.items():
        truth, clean = dataset.mask(image), predictions[image]
        intervals = certify_measurements(votes, all_measurements(votes, dataset.about["classes"]), tau, alpha)
        asked = measurements_of(measurements, dataset.about["classes"], dataset.pixel_size(image))
        values = {each.name: (each.unit, each.function(truth), each.function(clean)) for each in asked}
        for class_id, title in enumerate(dataset.about["classes"]):
            values[f"dice_{title}"] = ("", math.nan, class_metrics(truth, clean, clean, class_id)["dice"])
        for name, interval in intervals.items():
            unit, in_truth, on_clean = values[name]
            bounds = dataclasses.asdict(interval)
            measured = {"measurement": bounds.pop("name"), "unit": unit, "truth": in_truth, "clean": on_clean}
            decided = {"threshold": thresholds.get(name, math.nan), "decision": _decision(interval, thresholds)}
            shared = {**about_image(dataset, image, about), "sigma": votes.sigma, "tau": tau}
            rows.append({**shared, **measured, **bounds, **decided})
    return rows


def all_measurements(votes: Votes, classes: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
    """The measurements of each draw, and its Dice with the ground truth per foreground class."""
    dice = {f"dice_{title}": votes.dice[:, class_id] for class_id, title in enumerate(classes) if class_id > 0}
    return dict(votes.measurements) | dice


def _decision(interval: CertifiedInterval, thresholds: Mapping[str, float]) -> str:
    """above, below, open (the interval holds the threshold), or nothing where none was asked for."""
    return (interval.decide(thresholds[interval.name]) or "open") if interval.name in thresholds else ""


def metric_rows(
    dataset: PreparedDataset,
    predictions: Mapping[str, Labels],
    certificates: Mapping[str, Certificate],
    about: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """A row per image and foreground class: `about` (model, regime, denoiser), the settings, and the metrics."""
    classes = dataset.about["classes"]
    rows = []
    for image, certificate in certificates.items():
        truth = dataset.mask(image)
        shared = {
            **about_image(dataset, image, about),
            "sigma": certificate.sigma,
            "tau": certificate.tau,
            "alpha": certificate.alpha,
            "n0": certificate.n0,
            "n": certificate.n,
            "method": certificate.method,
            "k": certificate.k,
            "extended": len(certificate.earlier_n) > 0,
            "abstain": certificate.abstain,
            "radius": certificate.radius,
            "radius_gray_levels": radius_in_gray_levels(certificate.radius, truth.size * dataset.about["channels"]),
        }
        for class_id in range(1, len(classes)):
            metrics = class_metrics(truth, predictions[image], certificate.labels, class_id)
            rows.append({**shared, "class_id": class_id, "class_name": classes[class_id], **metrics})
    return rows
