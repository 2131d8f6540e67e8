"""Verification of a certificate: its digests, its results, and a sample of repeated draws."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import torch

from segcert.certification.certificate import certify
from segcert.data.errors import DataError
from segcert.data.identifiers import withheld
from segcert.data.masks import read_mask
from segcert.data.raster import Raster
from segcert.measurements import BUILT_IN, Measurement, applicable, measurements_of
from segcert.networks.folders import is_exported
from segcert.provenance.digests import file_digest
from segcert.single_image.certificate_file import describe, describe_image, maps_of
from segcert.single_image.inputs import Networks, Reading, Sampling
from segcert.single_image.schema import RADII, DocumentError
from segcert.smoothing.noise import Draw
from segcert.votes import Votes

ROUNDING = 1e-6  # relative differences between radii that machines compute


def verify(
    path: str | Path,
    document: dict[str, Any],
    *,
    draws: int,
    device: torch.device,
    image_path: str | Path | None = None,
    segmenter: str | Path | None = None,
    denoiser: str | Path | None = None,
) -> list[str]:
    """Check a certificate and return a line for each check that passed. The checks are:

    - The certificate's files, the image and the networks have the recorded digests.
    - Reading the image again gives the recorded grid, units and steps.
    - Certifying the votes again reproduces all results in the certificate. It also reproduces the label map and the
      radius map, on their own grid and on the grid of the image file.
    - A sample of `draws` selection and estimation draws is repeated from the recorded seed. It agrees with the areas
      and counts in the votes, and with the stored label maps. If all draws are repeated, the check is complete.

    Raises DocumentError at the first difference.
    """
    folder = Path(path).parent
    for file in document["files"].values():
        _require_file(folder / file["path"], file["sha256"])
    stated = document["image"]
    if image_path is None and stated.get("path_withheld"):
        raise DocumentError(
            f"{path}: does not state where the image is, because its path contains identifiers from the header of the "
            f"file ({stated['path']}). Pass --image FILE"
        )
    image_path = Path(image_path or stated["path"])
    _require_file(image_path, stated["sha256"])
    recorded = document["networks"]
    named, in_front = recorded["segmenter"]["path"], recorded["denoiser"] or {}
    if segmenter is None and is_exported(named):
        raise DocumentError(
            f"{named}: found an exported network, which can run code. If you trust it, pass --segmenter {named}"
        )
    networks = Networks.load(segmenter or named, denoiser or in_front.get("path"), in_front.get("steps", 1))
    for name, digest in networks.digests.items():
        _same(f"the {name}", digest, recorded[name] and recorded[name]["digest"])
    votes = Votes.load(folder / document["files"]["votes.npz"]["path"])
    checked = ["the digests of the files, the image and the networks match the certificate"]

    image = networks.read_image(image_path, stated["shape"][-1], _reading(stated))
    if stated.get("grid") is not None:  # earlier versions recorded no grid, and fewer units
        for key, value in json.loads(json.dumps(describe_image(image))).items():
            if stated.get(key) != value:
                raise DocumentError(f"{path}: image.{key}: found {stated.get(key)}; the image file gives {value}")
    settings, asked = document["certificate"], document["measurements"]
    certificate = certify(votes, settings["tau"], settings["alpha"], settings["method"], k=settings["k"])
    units = [Measurement(each["name"], each["unit"], lambda _: 0.0, "") for each in asked]
    if stated.get("grid") is not None:
        _check_units(path, asked, networks.config["classes"], image)
    thresholds = {each["name"]: each["threshold"] for each in asked if "threshold" in each}
    body = describe(certificate, votes, image, networks.config["classes"], units, thresholds)
    files = {kind: folder / file["path"] for kind, file in document["files"].items()}
    maps = maps_of(image, certificate.labels, votes, settings["alpha"], settings["method"], RADII in files)
    wrong = [name for name, value in json.loads(json.dumps(body)).items() if document[name] != value]
    wrong += [files[kind].name for kind in maps if kind in files and not _agrees(files[kind], maps[kind])]
    if wrong:
        raise DocumentError(
            f"{path}: the votes do not reproduce these parts of the certificate: {', '.join(wrong)}. Certify the image "
            "again"
        )
    checked.append("the votes reproduce the labels and all other results in the certificate")
    if stated.get("grid") is not None:
        checked.append("the maps on the grid of the image file follow from the certified maps")

    sampling = Sampling(**{key: value for key, value in document["sampling"].items() if key != "device"})
    drawn_on = document["sampling"]["device"]
    if device.type != drawn_on:
        raise DocumentError(
            f"--device: found {device.type}; expected {drawn_on}, where the votes were drawn, because the noise on "
            f"{device.type} is different. Pass --device {drawn_on}"
        )
    smoothed = networks.smoothed(image, sampling, device)
    smoothed.check(votes, image.unit())
    if (votes.n0, votes.n) != (sampling.n0, sampling.n):
        raise DocumentError(
            f"{path}: found {votes.n0} + {votes.n} draws in the votes; expected {sampling.n0} + {sampling.n}, as in "
            "the certificate. Certify the image again"
        )
    total = votes.n0 + votes.n
    rows = np.unique(np.linspace(0, total - 1, min(draws, total)).round().astype(int)).tolist()
    chosen: list[Draw] = [("selection", row) if row < votes.n0 else ("estimation", row - votes.n0) for row in rows]
    drawn = smoothed.label_maps(image.unit(), chosen)
    _compare(votes, {row: label_map.cpu().numpy() for row, label_map in zip(rows, drawn, strict=True)}, path)
    checked.append(f"{len(rows)} of {total} draws agree when repeated")
    return checked


def _reading(image: dict[str, Any]) -> Reading:
    """Return the settings with which the certified image was read."""
    window, pixel_size = image.get("window"), image.get("pixel_size_set")
    return Reading(
        image["bits"],
        None if window is None else (window[0], window[1]),
        image.get("frame"),
        None if pixel_size is None else (pixel_size[0], pixel_size[1]),
    )


def _check_units(path: str | Path, measured: list[dict[str, Any]], classes: list[str], image: Raster) -> None:
    """Raise DocumentError if a measurement has a unit that does not follow from the image."""
    built_in = measurements_of(applicable(BUILT_IN, classes), classes, *image.pixel_scale)
    units = {each.name: each.unit for each in built_in}
    for each in measured:
        unit = units.get(each["name"], "")
        if each["unit"] not in ("", unit):
            raise DocumentError(
                f"{path}: {each['name']}: found the unit {each['unit']!r}; the image file gives {unit!r}"
            )


def _agrees(file: Path, expected: npt.NDArray[Any]) -> bool:
    """Return True if a file contains the expected map. Radii may differ by rounding."""
    try:
        if file.suffix == ".png":
            labels = read_mask(file.read_bytes()).values
            if labels is None:
                raise DataError("is a colour image; expected class ids")
            return np.array_equal(expected, labels)
        with tifffile.TiffFile(file) as opened:
            page = opened.pages.first
            same_form = page.shape == expected.shape and page.dtype == expected.dtype  # before a large page is unpacked
            return same_form and np.allclose(page.asarray(), expected, rtol=ROUNDING, atol=0)
    except Exception as error:  # tifffile fails in many ways
        raise DocumentError(f"{file}: cannot be read ({error}); certify the image again") from error


def _compare(votes: Votes, label_maps: dict[int, npt.NDArray[np.uint8]], path: str | Path) -> None:
    """Raise DocumentError unless the repeated label maps, keyed by draw number, match the votes."""
    kept = votes.label_maps() if len(votes.draws) else None
    class_ids = np.arange(votes.areas.shape[1])[:, None, None]
    left = {"selection": votes.selection.astype(np.int64), "estimation": votes.estimation.astype(np.int64)}
    for row, label_map in label_maps.items():
        areas = np.bincount(label_map.ravel(), minlength=len(class_ids))
        left["selection" if row < votes.n0 else "estimation"] -= label_map == class_ids
        same = np.array_equal(areas, votes.areas[row]) and (kept is None or np.array_equal(label_map, kept[row]))
        if not same:
            raise DocumentError(
                f"{path}: draw {row} gives areas {areas.tolist()} when repeated; expected "
                f"{votes.areas[row].tolist()}, as in the votes. (Rounding on a different machine may change a few "
                "pixels.)"
            )
    if min(counts.min() for counts in left.values()) < 0:
        raise DocumentError(f"{path}: some pixels have fewer votes than the repeated draws alone give")


def _require_file(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise DocumentError(f"{path}: missing; restore this file, or certify the image again")
    _same(withheld(str(path), path), file_digest(path), sha256)


def _same(what: str, found: str | None, expected: str | None) -> None:
    if found != expected:
        raise DocumentError(f"{what}: found SHA-256 {found}; expected {expected}, as in the certificate")
