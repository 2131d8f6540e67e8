"""Verification of a certificate, by computing it again from its votes and its image, and by repeating draws.

The author of a certificate also writes its digests, so matching digests do not reveal a forgery. Therefore, everything
that can be computed again is computed again.
"""

import dataclasses
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from segcert.certification.certificate import certify
from segcert.data.identifiers import withheld
from segcert.data.raster import Raster
from segcert.io.progress import track
from segcert.measurements import BUILT_IN, Measurement, applicable, measurements_of
from segcert.networks.folders import is_exported
from segcert.provenance.digests import file_digest
from segcert.single_image.certificate_file import contents_of, document_of
from segcert.single_image.differences import differences
from segcert.single_image.inputs import Networks, Reading, Sampling
from segcert.single_image.picture_files import PictureError, is_same_picture
from segcert.single_image.redraw import as_draw, choose_draws, describe_misses, kept_label_maps, require_agreement
from segcert.single_image.schema import RADII, VOTES, DocumentError, on_original_grid
from segcert.single_image.verification import Verification
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.votes import Votes

SAMPLE = 20  # default number of draws to repeat if the votes contain the label map of each draw
SUFFIX = ".certificate.json"
# Keys that cannot be computed again. The files listed in `files` are checked individually.
PATHS = (("image", "path"), ("networks", "segmenter", "path"), ("networks", "denoiser", "path"))
STATED = (*PATHS, ("files",), ("decisions",))


def verify(
    path: str | Path,
    document: dict[str, Any],
    *,
    device: torch.device,
    draws: int | None = None,
    seed: int | None = None,
    image_path: str | Path | None = None,
    segmenter: str | Path | None = None,
    denoiser: str | Path | None = None,
    measure: Sequence[str] = (),
) -> Verification:
    """Verify a certificate. Raises DocumentError, or another error of the library, at the first difference.

    Parameters
    ----------
    path, document
        Path of the certificate, and its content as returned by `read_certificate`. The other files must be in the same
        folder.
    device
        Device on which the draws are repeated. It must be of the same kind as the device on which the votes were drawn.
    draws
        Number of draws to repeat. The default is SAMPLE if the votes contain the label map of each draw. Otherwise, all
        draws are repeated, because without label maps, a sample of draws cannot reveal forged counts.
    seed
        Seed for choosing these draws. By default, the seed is random, so that a forger cannot predict the choice.
    image_path, segmenter, denoiser
        Paths of the verifier's own copies of the image and of the networks. By default, these files are read from the
        paths in the certificate. In this case, the verification only shows that the certificate is correct for the
        files at these paths.
    measure
        User-supplied measurements of the certificate's author, as package.module:function. Importing them runs their
        code, so a measurement that is named in the certificate is only imported if it is also listed here.

    Returns
    -------
    Verification
        The parts that were recomputed, redrawn, only hashed, or not checked.
    """
    path, done = Path(path), Verification()
    files = _require_files(path, document)
    networks = _load_networks(document, segmenter, denoiser, done)
    votes = Votes.load(files[VOTES])
    image = _read_image(path, document, networks, votes.estimation.shape[-1], image_path, done)
    case = _Case(path, document, files, networks, image, votes)
    case.require_votes()
    smoothed = case.smoothed(device)
    measurements = case.measurements(measure)
    if case.has_label_maps:
        require_agreement(votes, kept_label_maps(votes), measurements, "as kept in the votes")
        names = ", ".join(["counts", "areas", *(each.name for each in measurements)])
        done.recomputed.append(f"{names}: of all {case.draws} draws, from their label maps in the votes")
    _decide_again(case, measurements, done)
    _draw_again(case, smoothed, measurements, draws, seed, done)
    done.unchecked += [
        f"{', '.join(map('.'.join, PATHS))}: names of places",
        "the choice of settings: alpha covers one decision, with settings that were fixed before the votes were seen",
        "decisions: only the author's ledger records how many decisions came before, and the author could have "
        "omitted some",
        "the software and hardware recorded in the votes, and the text of notes in the headers of the pictures",
    ]
    if document["image"].get("pixel_size_set"):
        done.unchecked.append(
            "image.pixel_size_set: the pixel size was set by the author and was not read from the image file"
        )
    if document["image"].get("grid") is None:
        done.unchecked.append(
            "image.grid: missing, as in certificates of earlier versions, so the size of the image in the file and "
            "the unit of lengths are unknown"
        )
    return done


@dataclasses.dataclass(frozen=True)
class _Case:
    """A certificate, with its files, image, networks and votes."""

    path: Path
    document: dict[str, Any]
    files: dict[str, Path]
    networks: Networks
    image: Raster
    votes: Votes

    @property
    def sampling(self) -> Sampling:
        stated = self.document["sampling"]
        return Sampling(**{each.name: stated[each.name] for each in dataclasses.fields(Sampling)})

    @property
    def draws(self) -> int:
        return self.votes.n0 + self.votes.n

    @property
    def has_label_maps(self) -> bool:
        return len(self.votes.draws) > 0

    def smoothed(self, device: torch.device) -> SmoothedSegmenter:
        """Return the model that drew the votes. Raises an error of the library if the votes have a different origin."""
        drawn_on = self.document["sampling"]["device"]
        if device.type != drawn_on:
            raise DocumentError(
                f"--device: found {device.type}; expected {drawn_on}, where the votes were drawn, because the noise on "
                f"{device.type} is different. Pass --device {drawn_on}"
            )
        smoothed = self.networks.smoothed(self.image, self.sampling, device)
        smoothed.check(self.votes, self.image.unit())
        return smoothed

    def require_votes(self) -> None:
        """Raise DocumentError if the parts, the shape or the settings of the votes differ from the certificate."""
        votes, sampling = self.votes, self.sampling
        names = [each["name"] for each in self.document["measurements"]]
        shape = (len(self.networks.config["classes"]), *self.image.pixels.shape[1:])
        expected = {
            "shape of the counts": (votes.estimation.shape, shape),
            "sigma": (votes.sigma, sampling.sigma),
            "numbers of draws (n0, n)": ((votes.n0, votes.n), (sampling.n0, sampling.n)),
            "batch_size": (votes.origin.get("batch_size"), sampling.batch_size),
            "names of the measurements": (list(votes.measurements), names),
            "number of areas": (len(votes.areas), self.draws),
            "values about a ground truth": (votes.overlaps.size + votes.truth_areas.size, 0),
        }
        for what, (found, wanted) in expected.items():
            if found != wanted:
                raise DocumentError(
                    f"{self.path}: {what}: found {found} in the votes; expected {wanted}, according to the "
                    "certificate and its image. Certify the image again"
                )

    def measurements(self, own: Sequence[str]) -> list[Measurement]:
        """Return the certified measurements. Raises DocumentError if one of them is neither built in nor in `own`."""
        classes = self.networks.config["classes"]
        known = measurements_of([*applicable(BUILT_IN, classes), *own], classes, *self.image.pixel_scale)
        by_name = {each.name: each for each in known}
        names = [each["name"] for each in self.document["measurements"]]
        for name in names:
            if name not in by_name:
                raise DocumentError(
                    f"{self.path}: found the measurement {name}, which is not part of segcert, so it cannot be "
                    "computed again. If you have its code and trust the code, pass --measure package.module:function"
                )
        return [by_name[name] for name in names]


def _require_files(path: Path, document: dict[str, Any]) -> dict[str, Path]:
    """Return the paths of a certificate's files, keyed by file-name ending.

    Raises DocumentError if a file has a wrong name or digest.
    """
    files = {}
    for kind, file in document["files"].items():
        expected = f"{path.name.removesuffix(SUFFIX)}.{kind}"
        if unknown := file.keys() - {"path", "sha256"}:
            raise DocumentError(
                f"{path}: files.{kind}: found the key {min(unknown)!r}; expected only `path` and "
                "`sha256`. Remove this key"
            )
        if file["path"] != expected:
            raise DocumentError(
                f"{path}: files.{kind}: found {file['path']}; expected {expected}. Restore the names of the files"
            )
        files[kind] = path.parent / expected
        _require_file(files[kind], file["sha256"])
    return files


def _read_image(
    path: Path,
    document: dict[str, Any],
    networks: Networks,
    size: int,
    image_path: str | Path | None,
    done: Verification,
) -> Raster:
    """Read the certified image with the settings in the certificate, and resize it to the size of the votes.

    The size in the certificate is not used, because a false size could exhaust the memory.
    """
    stated = document["image"]
    if image_path is None and stated.get("path_withheld"):
        raise DocumentError(
            f"{path}: does not state where the image is, because its path contains identifiers from the file's header "
            f"({stated['path']}). Pass --image FILE"
        )
    file = Path(image_path or stated["path"])
    _require_file(file, stated["sha256"])
    shown = withheld(str(file), file)
    (done.brought if image_path else done.named).append(f"image: {shown} (SHA-256 {stated['sha256']})")
    return networks.read_image(file, size, _reading(stated))


def _load_networks(
    document: dict[str, Any], segmenter: str | Path | None, denoiser: str | Path | None, done: Verification
) -> Networks:
    """Load the networks, and compare their digests with those in the certificate."""
    recorded = document["networks"]
    stated, in_front = recorded["segmenter"]["path"], recorded["denoiser"] or {}
    if segmenter is None and is_exported(stated):
        raise DocumentError(
            f"{stated}: found an exported network, which can run code. If you trust it, pass --segmenter {stated}"
        )
    networks = Networks.load(segmenter or stated, denoiser or in_front.get("path"), in_front.get("steps", 1))
    for name, digest in networks.digests.items():
        _same(f"the {name}", digest, recorded[name] and recorded[name]["digest"])
    for name, own in (("segmenter", segmenter), ("denoiser", denoiser)):
        if networks.digests[name]:
            (done.brought if own else done.named).append(
                f"{name}: {getattr(networks, name)} (SHA-256 {networks.digests[name]})"
            )
    return networks


def _reading(image: dict[str, Any]) -> Reading:
    """Return the settings with which the certified image was read."""
    window, pixel_size = image.get("window"), image.get("pixel_size_set")
    return Reading(
        image["bits"],
        None if window is None else (window[0], window[1]),
        image.get("frame"),
        None if pixel_size is None else (pixel_size[0], pixel_size[1]),
    )


def _decide_again(case: _Case, measurements: Sequence[Measurement], done: Verification) -> None:
    """Compute all files and values again from the votes and the image. Raises DocumentError if one of them differs."""
    document, settings, reading = case.document, case.document["certificate"], _reading(case.document["image"])
    asked = {name: settings[name] for name in ("tau", "alpha", "method", "k")}
    certificate = certify(case.votes, **asked, looks=settings.get("looks", []))
    thresholds = {each["name"]: float(each["threshold"]) for each in document["measurements"] if "threshold" in each}
    expected = document_of(
        certificate,
        case.image,
        case.votes,
        case.networks,
        case.sampling,
        measurements,
        thresholds,
        reading,
        bool(document["image"].get("path_withheld")),
    )
    expected["image"]["sha256"] = document["image"]["sha256"]  # already compared with the image file
    if document["image"].get("grid") is None:  # earlier versions recorded no grid and had fewer units
        expected["image"] |= {"grid": None, "length_unit": None, "path_withheld": None}
    if "looks" not in settings:  # earlier versions had no looks
        del expected["certificate"]["looks"]
    found = list(differences(document, json.loads(json.dumps(expected)), STATED))
    if found:
        more = f" {len(found) - 1} more values differ." if len(found) > 1 else ""
        raise DocumentError(f"{case.path}: {found[0]}.{more} Certify the image again")
    done.recomputed.append(f"{case.path.name}: every value except those that are listed below as not checked")
    contents = contents_of(case.image, certificate, case.votes, RADII in case.files)
    known = {*contents, RADII, on_original_grid(RADII)}
    for kind in known - case.files.keys():  # a reader would think that such a file belongs to the certificate
        if (file := case.path.with_name(f"{case.path.name.removesuffix(SUFFIX)}.{kind}")).exists():
            raise DocumentError(f"{file}: not listed in {case.path}. Remove the file")
    for kind, file in case.files.items():
        if kind in contents:
            _require_picture(file, contents[kind])
            done.recomputed.append(f"{file.name}: every pixel")
        elif kind != VOTES:
            done.hashed.append(file.name)


def _require_picture(file: Path, expected: bytes) -> None:
    try:
        same = is_same_picture(file.read_bytes(), expected)
    except PictureError as error:
        raise DocumentError(f"{file}: {error}; certify the image again") from error
    if not same:
        raise DocumentError(
            f"{file}: this is not the picture that is computed from the votes and the image; certify the image again"
        )


def _draw_again(
    case: _Case,
    smoothed: SmoothedSegmenter,
    measurements: Sequence[Measurement],
    draws: int | None,
    seed: int | None,
    done: Verification,
) -> None:
    """Repeat some or all draws. Raises DocumentError if a repeated draw differs from the votes."""
    total = case.draws
    count = min(draws or (SAMPLE if case.has_label_maps else total), total)
    seed = secrets.randbits(64) if seed is None else seed
    rows = choose_draws(total, count, seed)
    maps = smoothed.label_maps(case.image.unit(), [as_draw(case.votes, row) for row in rows])
    repeated = ((row, labels.cpu().numpy()) for row, labels in zip(rows, track(maps, "draws", count), strict=True))
    other = "; ".join(smoothed.differences(case.votes))
    try:
        require_agreement(case.votes, repeated, measurements, "when drawn again")
    except DocumentError as error:
        chosen = "" if count == total else f" To choose the same draws: --seed {seed}"
        because = f" Different here: {other}." if other else ""
        raise DocumentError(f"{case.path}: {error}{because}{chosen}") from error
    if other:
        done.redrawn.append(f"Different here, without an effect on these draws: {other}")
    if count == total:
        done.redrawn.append(f"all {total} draws: label maps, counts, areas and measurements. No forged draw is missed")
        return
    done.redrawn += [
        f"{count} of {total} draws, chosen at random (to choose the same draws: --seed {seed})",
        f"If some draws were forged, this check misses all of them with probability {describe_misses(total, count)}",
    ]
    if not case.has_label_maps:
        done.unchecked.append(
            "the counts of each pixel: the votes contain no label maps (--keep-draws), so honest draws do not "
            "contradict forged counts. Pass --all"
        )


def _require_file(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise DocumentError(f"{path}: missing; restore this file, or certify the image again")
    _same(withheld(str(path), path), file_digest(path), sha256)


def _same(what: str, found: str | None, expected: str | None) -> None:
    if found != expected:
        raise DocumentError(f"{what}: found SHA-256 {found}; expected {expected}, as in the certificate")
