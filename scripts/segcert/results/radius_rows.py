"""Radius maps of a run, as arrays, and as table rows with metrics at each radius of a grid."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from segcert.certification.certificate import ABSTAIN, certified_radius, radius_in_gray_levels
from segcert.certification.methods import HOLM, METHODS, SEGCERTIFY, smallest_n
from segcert.certification.metrics import class_metrics
from segcert.certification.radius_map import TAUS, map_budget, radius_map
from segcert.data.dataset import PreparedDataset
from segcert.io.arrays import ArraysError, StoredArrays, save_arrays
from segcert.results.image_rows import about_image
from segcert.votes import Votes

GRID_TAUS, GRID_RADII = "grid/taus", "grid/radii"  # image names contain no slash
METRICS = ("certified_dice", "certified_iou", "worst_case_dice")


class RadiusLevels(NamedTuple):
    """The radius map of an image, with levels instead of radii. A level is a position in a grid of taus, from 1.

    Attributes
    ----------
    labels
        Array of shape (H, W), uint8: the class id of each pixel, or ABSTAIN = 255 if the pixel is not certified.
    levels
        Array of shape (H, W), uint8: the position in the grid of the largest tau at which the pixel is certified, or 0
        if the pixel is not certified.
    method
        The method of the radius map.
    """

    labels: npt.NDArray[np.uint8]
    levels: npt.NDArray[np.uint8]
    method: str


def tau_grid(tau: float) -> tuple[float, ...]:
    """Return the taus of a run's radius maps, in ascending order. They are TAUS and the tau of the run."""
    return tuple(sorted({*TAUS, tau}))


def grid_radii(taus: Sequence[float], sigma: float) -> list[float]:
    """Return the l2 radius, for pixel values in [0, 1], for each tau of a grid."""
    return [certified_radius(sigma, tau) for tau in taus]


def map_method(method: str) -> str:
    """Return the method of a run's radius maps: `holm` if the run's method tests on all draws, else `segcertify`."""
    return HOLM.name if METHODS[method].all_draws else SEGCERTIFY.name


def radius_levels(votes: Votes, taus: Sequence[float], alpha: float, method: str) -> RadiusLevels:
    """Return the radius map of an image, with levels instead of radii, computed with `map_method(method)`.

    If there are too few draws even for the lowest tau, no pixel is certified in the map. This can happen because a
    method with a weaker guarantee may need fewer draws than the radius map.
    """
    own = map_method(method)
    pixels = votes.estimation[0].size
    if votes.n < smallest_n(pixels, taus[0], map_budget(alpha, own), own, votes.n0):
        shape = votes.estimation.shape[1:]
        return RadiusLevels(np.full(shape, ABSTAIN, np.uint8), np.zeros(shape, np.uint8), own)
    found = radius_map(votes, taus, alpha, own)
    levels = np.searchsorted(grid_radii(taus, votes.sigma), found.radius, side="right").astype(np.uint8)
    return RadiusLevels(found.labels, levels, own)


def save_radii(path: str | Path, maps: Mapping[str, RadiusLevels], taus: Sequence[float], sigma: float) -> None:
    """Write radius maps to a compressed `.npz` file, which contains the levels of each image and the grid.

    The levels are arrays of shape (H, W), uint8. The arrays `grid/taus` and `grid/radii` are float64, and their i-th
    entries, counted from 1, belong to level i. Radii are l2 norms for pixel values in [0, 1].
    """
    grid = {GRID_TAUS: np.array(taus, np.float64), GRID_RADII: np.array(grid_radii(taus, sigma), np.float64)}
    save_arrays(path, grid | {image: each.levels for image, each in maps.items()})


class SavedRadii(NamedTuple):
    """The content of a file written by `save_radii`. `radii_of(image)` returns the certified radius of each pixel."""

    taus: npt.NDArray[np.float64]
    radii: npt.NDArray[np.float64]
    levels: dict[str, npt.NDArray[np.uint8]]

    def radii_of(self, image: str) -> npt.NDArray[np.float64]:
        """Return the certified radii, shape (H, W), for pixel values in [0, 1]. Pixels that abstain have radius 0."""
        return np.concatenate([[0.0], self.radii])[self.levels[image]]


def load_radii(path: str | Path) -> SavedRadii:
    """Read a file written by `save_radii`. Raises ArraysError if the file is damaged or has a different content."""
    with StoredArrays(path) as file:
        if not {GRID_TAUS, GRID_RADII} <= file.keys():
            raise ArraysError(f"{path}: found no arrays {GRID_TAUS} and {GRID_RADII}; expected a file of radius maps")
        saved = SavedRadii(
            file[GRID_TAUS], file[GRID_RADII], {image: file[image] for image in file.keys() - {GRID_TAUS, GRID_RADII}}
        )
    if saved.taus.ndim != 1 or saved.taus.shape != saved.radii.shape or saved.radii.dtype != np.float64:
        raise ArraysError(
            f"{path}: found taus of shape {saved.taus.shape} and radii of shape {saved.radii.shape}; expected equal "
            "shapes"
        )
    for image, levels in saved.levels.items():
        if levels.dtype != np.uint8 or levels.ndim != 2 or levels.max(initial=0) > len(saved.radii):
            raise ArraysError(
                f"{path}: found levels for {image!r} with type {levels.dtype}, shape {levels.shape} and maximum "
                f"{levels.max(initial=0)}; expected type uint8, shape (H, W), maximum {len(saved.radii)} or less"
            )
    return saved


def radius_rows(
    dataset: PreparedDataset,
    image: str,
    found: RadiusLevels,
    about: Mapping[str, Any],
    *,
    taus: Sequence[float],
    sigma: float,
    alpha: float,
) -> list[dict[str, Any]]:
    """Return a row of metrics for each radius in the grid and each foreground class.

    A pixel abstains if its certified radius is smaller than the radius of the row, and `abstain` is the share of these
    pixels. A single alpha covers all pixels and the entire grid. Therefore, at the tau of the run, the radius map may
    certify slightly fewer pixels than the certificate.
    """
    truth = dataset.mask(image)
    values = truth.size * dataset.about["channels"]
    rows = []
    for level, (tau, radius) in enumerate(zip(taus, grid_radii(taus, sigma), strict=True), start=1):
        labels = np.where(found.levels >= level, found.labels, ABSTAIN)
        shared = {
            **about_image(dataset, image, about),
            "sigma": sigma,
            "tau": tau,
            "alpha": alpha,
            "method": found.method,
            "radius": radius,
            "radius_gray_levels": radius_in_gray_levels(radius, values),
            "abstain": float(np.mean(labels == ABSTAIN)),
        }
        for class_id, title in list(enumerate(dataset.about["classes"]))[1:]:
            metrics = class_metrics(truth, labels, labels, class_id)
            chosen = {name: metrics[name] for name in METRICS}
            rows.append({**shared, "class_id": class_id, "class_name": title, **chosen})
    return rows
