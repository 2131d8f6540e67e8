"""Files that `segcert certify` writes for an image: the label map, the overlay, the votes, and the certificate as JSON.

`contents_of` and `document_of` compute everything that is determined by the votes and the image. `write_certificate`
writes their results, and `segcert verify` compares the files with these results. Therefore, every file or key that is
added to these functions is also verified.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import segcert
from segcert.certification.certificate import ABSTAIN, Certificate, certify, radius_in_gray_levels
from segcert.certification.median_smoothing import certify_measurements
from segcert.certification.methods import METHODS, require_feasible, require_intervals
from segcert.certification.radius_map import check_radius_map, radius_map
from segcert.data.decode import image_name
from segcert.data.identifiers import withheld
from segcert.data.raster import Labels, Raster, pixel_shape
from segcert.io.atomic import atomic_file
from segcert.measurements import AT_DETECTOR, MM, Measurement
from segcert.provenance.digests import file_digest
from segcert.provenance.ledger import Ledger
from segcert.report.gallery import paint
from segcert.report.style import to_rgb
from segcert.single_image.inputs import AS_STATED, Networks, Reading, Sampling
from segcert.single_image.picture_files import encode_png, encode_tiff
from segcert.single_image.schema import (
    FORMAT,
    LABELS,
    OVERLAY,
    RADII,
    VOTES,
    DocumentError,
    on_original_grid,
    read_certificate,
)
from segcert.votes import Votes

DRAWS = ".draws"  # folder next to the results, with the draws from which an interrupted command resumes


@dataclasses.dataclass(frozen=True)
class Decision:
    """Settings for computing a certificate from votes."""

    tau: float = 0.75
    alpha: float = 0.001
    method: str = "segcertify"
    k: int = 10
    looks: tuple[int, ...] = ()


def write_certificate(
    path: str | Path,
    out: str | Path,
    *,
    image: Raster,
    votes: Votes,
    networks: Networks,
    sampling: Sampling,
    decision: Decision,
    measurements: Sequence[Measurement] = (),
    thresholds: Mapping[str, float] | None = None,
    radii: bool = False,
    reading: Reading = AS_STATED,
    ledger: Ledger | None = None,
) -> dict[str, Any]:
    """Compute the certificate of an image file from its votes, and write the files of the certificate to `out`.

    With <name> for the name of the image, the files are <name>.labels.png (class ids, ABSTAIN = 255),
    <name>.overlay.png, <name>.votes.npz and <name>.certificate.json. If `radii` is true, <name>.radius.tif contains the
    certified radius of each pixel (float32, for pixel values in [0, 1]). The label map and the radius map are also
    resampled to the grid of the image file as displayed, by nearest neighbour, and written to
    <name>.labels.original-nearest.png and <name>.radius.original-nearest.tif. The decision is recorded in `ledger`,
    which is the user's own ledger by default. Returns the content of the JSON file.

    Patient identifiers in the header of a DICOM file are removed from all names and paths (segcert.data.identifiers).
    """
    path, out = Path(path), Path(out)
    certificate = certify(votes, **dataclasses.asdict(decision))
    (decided,) = (ledger or Ledger.of_user()).record([{**votes.origin, **certificate.decision()}])
    files, name = {}, result_name(path)
    for kind, content in contents_of(image, certificate, votes, radii).items():
        files[kind] = out / f"{name}.{kind}"
        with atomic_file(files[kind]) as part:
            part.write_bytes(content)
    files[VOTES] = out / f"{name}.{VOTES}"
    votes.save(files[VOTES])
    shown = withheld(str(path), path)
    is_withheld = shown != str(path)
    document = document_of(
        certificate, image, votes, networks, sampling, measurements, thresholds or {}, reading, is_withheld
    )
    document["image"] = {"path": shown, "sha256": file_digest(path), **document["image"]}
    document["decisions"] = decided._asdict()
    document["files"] = {kind: {"path": file.name, "sha256": file_digest(file)} for kind, file in files.items()}
    with atomic_file(certificate_path(path, out)) as part:
        part.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n")
    return document


def contents_of(image: Raster, certificate: Certificate, votes: Votes, radii: bool) -> dict[str, bytes]:
    """Compute the contents of the picture files of a certificate from its votes and its image.

    Returns a dict that maps a file-name ending, such as "labels.png", to the bytes of the file. If `radii` is true, the
    dict also contains the radius maps.
    """
    labels = certificate.labels
    maps = maps_of(image, labels, votes, certificate.level, certificate.method, radii)
    contents = {kind: encode_png(each) if kind.endswith(".png") else encode_tiff(each) for kind, each in maps.items()}
    scale = 4 if max(labels.shape) <= 512 else 1
    overlay = np.clip(paint(to_rgb(image.unit()), labels, scale), 0, 1)
    return contents | {OVERLAY: encode_png(overlay)}


def document_of(
    certificate: Certificate,
    image: Raster,
    votes: Votes,
    networks: Networks,
    sampling: Sampling,
    measurements: Sequence[Measurement],
    thresholds: Mapping[str, float],
    reading: Reading,
    path_withheld: bool,
) -> dict[str, Any]:
    """Compute the part of a certificate file that is determined by the votes, the image, the networks and the settings.

    The result does not contain the keys `image.path`, `image.sha256`, `decisions` and `files`.
    """
    classes, device = networks.config["classes"], votes.origin["device"]
    remarks = _remarks(image, certificate, classes, path_withheld)
    remarks += networks.remarks(image, sampling, torch.device(device))
    denoiser = None
    if networks.denoiser:
        digest = networks.digests["denoiser"]
        denoiser = {"path": str(networks.denoiser), "digest": digest, "steps": networks.denoising_steps}
    return {
        "format": FORMAT,
        "segcert": segcert.__version__,
        "image": {
            "path_withheld": path_withheld,
            **describe_image(image),
            "window": networks.window(reading),
            "frame": reading.frame,
            "pixel_size_set": reading.pixel_size,
        },
        "networks": {
            "segmenter": {"path": str(networks.segmenter), "digest": networks.digests["segmenter"]},
            "denoiser": denoiser,
        },
        "sampling": dataclasses.asdict(sampling) | {"device": device},
        "runtime": votes.origin.get("runtime", {}),
        **describe(certificate, votes, image, classes, measurements, thresholds),
        "remarks": [*remarks, *networks.remark_on_compression(image)],
    }


def _remarks(image: Raster, certificate: Certificate, classes: Sequence[str], path_withheld: bool) -> list[str]:
    """Return remarks on results that may indicate a wrong input or a wrong network."""
    remarks = []
    if path_withheld:
        remarks.append("the path contained identifiers from the file's header; each was replaced by id-DIGEST")
    if image.pixel_size:
        down, across = image.grid.stretch
        height, width = image.pixel_size[0] / down, image.pixel_size[1] / across
        if pixel_shape(height, width):
            remarks.append(
                f"the pixels of the file are not square: {height:.4g} high, {width:.4g} wide, in {image.length_unit}; "
                "the network sees the image as if they were square"
            )
    if image.pixels.min() == image.pixels.max():
        remarks.append("the image is constant: every pixel has the same value")
    found = np.unique(certificate.labels[certificate.labels != ABSTAIN])
    if len(found) == 1:
        remarks.append(f"every certified pixel has the same label: {classes[found[0]]}")
    return remarks


def describe_image(image: Raster) -> dict[str, Any]:
    """Return the part of the certificate document that describes the image and the way in which its file was read."""
    return {
        "shape": list(image.pixels.shape),
        "grid": image.grid.as_json(),
        "bits": image.bits,
        "pixel_size_mm": image.pixel_size if image.length_unit in (MM, AT_DETECTOR) else None,
        "length_unit": image.pixel_scale[1],
        "applied": list(image.applied),
    }


def maps_of(image: Raster, labels: Labels, votes: Votes, alpha: float, method: str, radii: bool) -> dict[str, Any]:
    """Return the label map and, if `radii` is true, the radius map (float32), also resampled to the grid of the file.

    The keys are `labels.png`, `radius.tif`, `labels.original-nearest.png` and `radius.original-nearest.tif`.
    """
    maps: dict[str, Any] = {LABELS: labels}
    if radii:
        maps[RADII] = radius_map(votes, alpha=alpha, method=method).radius.astype("f4")
    return maps | {on_original_grid(kind): image.grid.to_original(values) for kind, values in maps.items()}


def result_name(image: str | Path) -> str:
    """Return the name for the results of an image: the file name without its suffix and without patient identifiers."""
    return withheld(image_name(image), Path(image))


def certificate_path(image: str | Path, out: str | Path) -> Path:
    """Return the path of the certificate of an image in the folder `out`."""
    return Path(out) / f"{result_name(image)}.certificate.json"


def require_own_results(images: Sequence[Path], out: Path) -> None:
    """Raise DocumentError if the results of an image would replace the results of a different image."""
    taken: dict[str, Path] = {}
    for image in images:
        other = taken.setdefault(result_name(image), image)
        shown = withheld(str(image), image)
        if other != image:
            raise DocumentError(
                f"{shown}: its results would have the same file names as those of {withheld(str(other), other)}; use a "
                "different --out folder for each image"
            )
        before = certificate_path(image, out)
        if not before.is_file():
            continue
        recorded = read_certificate(before)["image"]
        if image.is_file() and recorded["sha256"] != file_digest(image):
            raise DocumentError(
                f"{before}: found the certificate of a different image ({recorded['path']}), which is not overwritten; "
                f"choose a different --out folder for {shown}, or move the old results"
            )


def describe(
    certificate: Certificate,
    votes: Votes,
    image: Raster,
    classes: Sequence[str],
    measurements: Sequence[Measurement],
    thresholds: Mapping[str, float],
) -> dict[str, Any]:
    """Return the certified results, which are the part of a certificate file that is computed from the votes.

    Under a weaker guarantee, the certificate implies no interval for an area, so both ends of the interval are null.
    """
    unsure = int((certificate.labels == ABSTAIN).sum())
    weaker = METHODS[certificate.method].weaker
    structures = []
    for class_id, title in enumerate(classes):
        size = int((certificate.labels == class_id).sum())
        low, high = (None, None) if weaker else (size, size + unsure)
        areas = {"certified_pixels": size, "area_low": low, "area_high": high}
        structures.append({"id": class_id, "name": title} | areas)
    return {
        "certificate": certificate.settings() | {"guarantee": certificate.guarantee},
        "radius_gray_levels": radius_in_gray_levels(certificate.radius, image.pixels.size, certificate.threat),
        "abstain": certificate.abstain,
        "classes": structures,
        "measurements": _measurements(votes, certificate, measurements, thresholds),
    }


def check_decision(
    image: Raster, sampling: Sampling, decision: Decision, measurements: Sequence[Measurement], radii: bool
) -> None:
    """Raise CertificationError if a requested result cannot be certified. No noise is drawn for this check."""
    pixels = math.prod(image.pixels.shape[1:])
    tau, alpha, method, k, looks = dataclasses.astuple(decision)
    first = min(looks, default=sampling.n)
    require_feasible(first, pixels, tau, alpha, method, sampling.n0, k, looks)
    require_intervals(first, len(measurements), tau, alpha, sampling.n0, looks)
    if radii:
        check_radius_map(decision.method)


def _measurements(
    votes: Votes, certificate: Certificate, measurements: Sequence[Measurement], thresholds: Mapping[str, float]
) -> list[dict[str, Any]]:
    if not measurements:
        return []
    intervals = certify_measurements(votes, tau=certificate.tau, alpha=certificate.level)
    documents = []
    for measurement in measurements:
        interval = intervals[measurement.name]
        document = dataclasses.asdict(interval) | {"unit": measurement.unit}
        if measurement.name in thresholds:
            threshold = thresholds[measurement.name]
            document |= {"threshold": threshold, "decision": interval.decide(threshold) or "open"}
        for key, value in document.items():
            if isinstance(value, float) and not math.isfinite(value):
                document[key] = None  # JSON cannot represent such a number
        documents.append(document)
    return documents
