"""Table rows about the test images of a model at a noise level, computed from their votes and certificates."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segcert.certification.certificate import Certificate, radius_in_gray_levels
from segcert.certification.median_smoothing import certify_measurements
from segcert.certification.methods import METHODS
from segcert.certification.metrics import class_dice, class_metrics, vote_labels
from segcert.data.dataset import PreparedDataset
from segcert.measurements import measurements_of
from segcert.provenance.digests import array_digest
from segcert.votes import Votes, VotesError, iterate_votes

Labels = npt.NDArray[np.uint8]
BOUNDS = ("worst_case_dice", "area_low", "area_high")  # these metrics are only bounds if no certified pixel is wrong


def read_votes(dataset: PreparedDataset, files: Iterable[str | Path]) -> dict[str, Votes]:
    """Return a dict that maps images to their votes in `files`, in the order of the data set's index.

    Raises VotesError in the same cases as `votes_of`.
    """
    drawn = {image: votes for path in files for image, votes in votes_of(dataset, path)}
    return {image: drawn[image] for image in dataset.rows if image in drawn}


def votes_of(dataset: PreparedDataset, path: str | Path) -> Iterator[tuple[str, Votes]]:
    """Yield each image in a votes file with its votes. Raises VotesError if an image is unknown or has changed."""
    for image, votes in iterate_votes(path):
        if image not in dataset.rows:
            raise VotesError(
                f"{path}: found votes for {image!r}; expected votes for an image in {dataset.index}. Draw the votes "
                "again"
            )
        if votes.origin.get("image") != array_digest(dataset.image(image)):
            raise VotesError(
                f"{path}: found votes for a different version of {image!r}; expected votes for the version in "
                f"{dataset.index}. Draw the votes again"
            )
        yield image, votes


def about_image(dataset: PreparedDataset, image: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that begin each row about an image: data set, image, group, model, regime and denoiser."""
    return {"dataset": dataset.about["name"], "image": image, "group": dataset.group(image), **about}


def interval_rows(
    dataset: PreparedDataset,
    image: str,
    votes: Votes,
    prediction: Labels,
    about: Mapping[str, Any],
    *,
    measurements: Sequence[str],
    thresholds: Mapping[str, float],
    tau: float,
    alpha: float,
) -> list[dict[str, Any]]:
    """Return a row for each measurement of an image.

    A row contains the value of the measurement on the ground truth, the value on the clean prediction, and the
    certified interval. `measurements` contains specifications (see segcert.measurements, also for the units). The Dice
    of each foreground class is an additional measurement, which has no value on the ground truth. Alpha is divided
    among all measurements of the image, and the column `alpha` contains the part of each measurement. The decision is
    `above` or `below` if the interval is on that side of the threshold, and `open` if the interval contains the
    threshold. It is empty if there is no threshold. For the column `against_truth`, see the function of the same name.
    """
    classes, truth = dataset.about["classes"], dataset.mask(image)
    drawn = dict(votes.measurements)
    values = {}
    for each in measurements_of(measurements, classes, *dataset.pixel_scale(image)):
        values[each.name] = (each.unit, each.function(truth), each.function(prediction))
    for class_id, title in list(enumerate(classes))[1:]:
        drawn[f"dice_{title}"] = votes.dice[:, class_id]
        values[f"dice_{title}"] = ("", math.nan, class_dice(truth, prediction, class_id))
    shared = {**about_image(dataset, image, about), "sigma": votes.sigma, "tau": tau}
    rows = []
    for name, interval in certify_measurements(votes, drawn, tau, alpha).items():
        unit, in_truth, on_clean = values[name]
        bounds = dataclasses.asdict(interval)
        measured = {"measurement": bounds.pop("name"), "unit": unit, "truth": in_truth, "clean": on_clean}
        threshold = thresholds.get(name, math.nan)
        decision = (interval.decide(threshold) or "open") if name in thresholds else ""
        decided = {
            "threshold": threshold,
            "decision": decision,
            "against_truth": against_truth(decision, in_truth, threshold),
        }
        rows.append({**shared, **measured, **bounds, **decided})
    return rows


def against_truth(decision: str, truth: float, threshold: float) -> str:
    """Compare a decision, `above` or `below`, with the true value of the measurement. Return "right" or "wrong".

    The true value is that of the ground truth. The result is "" if nothing is decided, or if the measurement has no
    true value (`truth` is NaN). If the true value is equal to the threshold, the decision `below` is right.
    """
    if decision not in ("above", "below") or math.isnan(truth):
        return ""
    return "right" if (truth > threshold) == (decision == "above") else "wrong"


def metric_rows(
    dataset: PreparedDataset,
    image: str,
    votes: Votes,
    prediction: Labels,
    certificate: Certificate,
    about: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return a row for each foreground class of an image: model, regime, denoiser, certificate settings and metrics.

    `vote_dice` is the Dice of the labels with the most votes, which are not certified
    (see segcert.certification.metrics.vote_labels). The other metrics are defined by the function `class_metrics`.
    Under a weaker guarantee, the certificate implies no bounds, so the metrics in BOUNDS are NaN.
    """
    truth, voted = dataset.mask(image), vote_labels(votes)
    shared = {
        **about_image(dataset, image, about),
        "sigma": certificate.sigma,
        "tau": certificate.tau,
        "alpha": certificate.alpha,
        "n0": certificate.n0,
        "n": certificate.n,
        "looks": ", ".join(map(str, certificate.looks)),
        "method": certificate.method,
        "k": certificate.k,
        "abstain": certificate.abstain,
        "radius": certificate.radius,
        "radius_gray_levels": radius_in_gray_levels(
            certificate.radius, truth.size * dataset.about["channels"], certificate.threat
        ),
    }
    rows = []
    for class_id, title in list(enumerate(dataset.about["classes"]))[1:]:
        metrics = class_metrics(truth, prediction, certificate.labels, class_id)
        if METHODS[certificate.method].weaker:
            metrics |= dict.fromkeys(BOUNDS, math.nan)
        vote_dice = class_dice(truth, voted, class_id)
        rows.append({**shared, "class_id": class_id, "class_name": title, "vote_dice": vote_dice, **metrics})
    return rows
