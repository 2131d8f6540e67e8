"""Votes: the counts that sampling writes and certification reads. This module needs only numpy.

Votes count, for each pixel and class, the draws in which the model chose the class. These counts are sufficient
statistics: all metrics and certificates, for any alpha and tau, are computed from them later, without running a
network. The observables of each draw (areas, overlaps with the ground truth, measurements and the label map) are stored
with the counts. A stored label map takes ceil(log2(num_classes)) bits per pixel.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from segcert.io.arrays import ArraysError, StoredArrays, save_arrays
from segcert.io.json_files import parse_json
from segcert.provenance.digests import array_digest, value_digest

Bytes = npt.NDArray[np.uint8]


def bits_per_pixel(num_classes: int) -> int:
    """Return the number of bits needed to store a class id below num_classes."""
    return max(1, (num_classes - 1).bit_length())


def pack_labels(labels: Bytes, num_classes: int) -> Bytes:
    """Pack label maps, shape (draws, H, W), into bytes, shape (draws, bits, ceil(H W / 8)): one plane per bit."""
    flat = labels.reshape(len(labels), 1, labels[0].size)
    planes = (flat >> np.arange(bits_per_pixel(num_classes), dtype=np.uint8)[:, None]) & 1
    return np.packbits(planes, axis=2)


def unpack_labels(packed: Bytes, shape: tuple[int, int]) -> Bytes:
    """Unpack what `pack_labels` returned into label maps of shape (draws, H, W). `shape` is (H, W)."""
    planes = np.unpackbits(packed, axis=2, count=shape[0] * shape[1])
    weights = np.uint8(1) << np.arange(packed.shape[1], dtype=np.uint8)
    labels: Bytes = (planes * weights[:, None]).sum(axis=1, dtype=np.uint8)
    return labels.reshape(len(packed), *shape)


Counts = npt.NDArray[np.unsignedinteger[Any]]

FORMAT = "segcert-votes-2"
PIXELS = "pixels"  # the threat of noise on the pixels themselves
PER_DRAW = ("areas", "overlaps", "draws")


class VotesError(ValueError):
    """Error for inconsistent votes, or for a file that is not a votes file."""


@dataclasses.dataclass(frozen=True)
class Votes:
    """The votes of one image at one noise level.

    Attributes
    ----------
    selection
        Unsigned integers of shape (num_classes, H, W): for each class and pixel, the number of the n0 selection draws
        in which the pixel has the class.
    estimation
        Unsigned integers of shape (num_classes, H, W): for each class and pixel, the number of the n estimation draws
        in which the pixel has the class. The estimation draws are independent of the selection draws.
    sigma
        Standard deviation of the noise, for pixel values in [0, 1]; for another threat than pixels, of its parameter.
    areas
        Unsigned integers of shape (n0 + n, num_classes): the number of pixels of each class in each draw, selection
        draws first. The array is empty if areas were not kept.
    overlaps
        Unsigned integers of shape (n0 + n, num_classes): for each draw and class, the number of pixels that have this
        class both in the draw and in the ground truth. The array is empty if no ground truth was given.
    truth_areas
        Unsigned integers of shape (num_classes,): the number of pixels of each class in the ground truth. The array is
        empty if no ground truth was given.
    measurements
        Mapping from the name of each measurement to its n0 + n values (float64), one per draw, selection draws first.
    draws
        Packed label map of each draw (see `pack_labels`). The array is empty if label maps were not kept.
    origin
        Record of how the votes were drawn, as plain JSON: digests of the image and networks, and settings.
    """

    selection: Counts
    estimation: Counts
    sigma: float
    areas: Counts = dataclasses.field(default_factory=lambda: np.zeros((0, 0), np.uint32))
    overlaps: Counts = dataclasses.field(default_factory=lambda: np.zeros((0, 0), np.uint32))
    truth_areas: Counts = dataclasses.field(default_factory=lambda: np.zeros(0, np.uint32))
    measurements: Mapping[str, npt.NDArray[np.float64]] = dataclasses.field(default_factory=dict)
    draws: npt.NDArray[np.uint8] = dataclasses.field(default_factory=lambda: np.zeros((0, 1, 0), np.uint8))
    origin: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, counts in (("selection", self.selection), ("estimation", self.estimation)):
            if counts.ndim != 3 or counts.dtype.kind != "u" or not counts.size:
                raise VotesError(
                    f"{name}: found an array of shape {counts.shape} and type {counts.dtype}; "
                    "expected unsigned integers of shape (num_classes, H, W)"
                )
            totals = counts.sum(axis=0, dtype=np.int64)
            if totals.min() != totals.max():
                raise VotesError(
                    f"{name}: found {totals.min()} to {totals.max()} votes per pixel; "
                    "expected the same number at each pixel"
                )
        if self.selection.shape != self.estimation.shape:
            raise VotesError(
                f"selection: found shape {self.selection.shape}; expected {self.estimation.shape}, the shape of "
                "`estimation`"
            )
        if not isinstance(self.threat, str):
            raise VotesError(f"origin: found the threat {self.threat!r}; expected its name")
        if not 0 < self.sigma < math.inf:
            raise VotesError(f"sigma: found {self.sigma}; expected a noise level above 0 (pixel values are in [0, 1])")
        draws, (classes, height, width) = self.n0 + self.n, self.selection.shape
        self._check_optional("areas", self.areas, np.unsignedinteger, (draws, classes))
        self._check_optional("overlaps", self.overlaps, np.unsignedinteger, (draws, classes))
        planes = (draws, bits_per_pixel(classes), -(-height * width // 8))
        self._check_optional("draws", self.draws, np.uint8, planes)
        self._check_optional("truth_areas", self.truth_areas, np.unsignedinteger, (classes,))
        for name, values in self.measurements.items():
            self._check_optional(name, values, np.float64, (draws,))
        parts = (
            ("selection", self.selection, self.areas[: self.n0]),
            ("estimation", self.estimation, self.areas[self.n0 :]),
        )
        for name, counts, areas in parts:
            expected = counts.sum(axis=(1, 2), dtype=np.int64)
            if len(self.areas) and not np.array_equal(areas.sum(axis=0, dtype=np.int64), expected):
                raise VotesError(f"areas: the sums over the {name} draws differ from the counts; draw the votes again")

    def _check_optional(
        self, name: str, values: npt.NDArray[Any], numbers: type[np.generic], shape: tuple[int, ...]
    ) -> None:
        """Raise VotesError for an optional array of a wrong type or shape. Arrays that were not kept are empty."""
        if not np.issubdtype(values.dtype, numbers):
            raise VotesError(f"{name}: found an array of type {values.dtype}; expected {numbers.__name__}")
        if len(values) not in (0, self.n0 + self.n) and name != "truth_areas":
            raise VotesError(f"{name}: found {len(values)} draws; expected {self.n0} + {self.n}, or none")
        if values.size and values.shape != shape:
            raise VotesError(f"{name}: found an array of shape {values.shape}; expected {shape}, or an empty array")

    @property
    def n0(self) -> int:
        """Number of selection draws."""
        return int(self.selection[:, 0, 0].sum(dtype=np.int64))

    @property
    def n(self) -> int:
        """Number of estimation draws."""
        return int(self.estimation[:, 0, 0].sum(dtype=np.int64))

    @property
    def threat(self) -> str:
        """Name of the threat: "pixels", or the family of changes whose parameter has the noise."""
        threat: str = self.origin.get("threat", PIXELS)
        return threat

    @property
    def digest(self) -> str:
        """SHA-256 of all arrays, sigma and `origin`."""
        arrays = {name: array_digest(array) for name, array in self.arrays().items()}
        return value_digest([arrays, self.sigma, dict(self.origin)])

    @property
    def dice(self) -> npt.NDArray[np.float64]:
        """Dice of each draw and the ground truth, of shape (n0 + n, num_classes); NaN for a class that both lack.

        Raises VotesError if no ground truth was given when the votes were drawn.
        """
        if not self.overlaps.size:
            raise VotesError("overlaps: missing; to get the Dice of each draw, sample with `truth`")
        sizes = self.areas.astype(np.float64) + self.truth_areas
        dice: npt.NDArray[np.float64] = np.full(sizes.shape, np.nan)
        np.divide(2.0 * self.overlaps, sizes, out=dice, where=sizes > 0)
        return dice

    def label_maps(self) -> npt.NDArray[np.uint8]:
        """Return the label maps of all draws, shape (n0 + n, H, W). Raises VotesError if they were not kept."""
        if not len(self.draws):
            raise VotesError("draws: missing; to get the label map of each draw, sample with `keep_draws`")
        return unpack_labels(self.draws, self.estimation.shape[1:])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all arrays, keyed by their names in a votes file."""
        parts = {name: getattr(self, name) for name in _names()}
        return parts | {f"measurement/{name}": values for name, values in self.measurements.items()}

    @classmethod
    def from_counts(
        cls, selection: npt.ArrayLike, estimation: npt.ArrayLike, sigma: float, threat: str = PIXELS
    ) -> Self:
        """Build votes from existing counts: integers of shape (num_classes, H, W).

        Certificates from these votes are valid if all draws, selection and estimation, are independent noisy copies of
        the image, with Gaussian noise of standard deviation sigma. For a threat other than pixels, the noise is on its
        parameter. Raises VotesError for arrays that are not counts.

        Examples
        --------
        >>> votes = Votes.from_counts([[[9]], [[1]]], [[[97]], [[3]]], sigma=0.25)
        >>> votes.n0, votes.n
        (10, 100)
        """
        origin = {} if threat == PIXELS else {"threat": threat}
        return cls(_as_counts("selection", selection), _as_counts("estimation", estimation), sigma, origin=origin)

    def save(self, path: str | Path) -> None:
        """Write the votes to an `.npz` file without pickles. Equal votes give byte-identical files."""
        save_votes(path, {"image": self})

    @classmethod
    def load(cls, path: str | Path) -> "Votes":
        """Read the votes of one image from a file that `save` wrote. Raises VotesError for any other file."""
        votes = load_votes(path)
        if len(votes) != 1:
            raise VotesError(
                f"{path}: found the votes of {len(votes)} images; expected one image. Use load_votes to read them all"
            )
        return next(iter(votes.values()))


def save_votes(path: str | Path, votes: Mapping[str, Votes]) -> None:
    """Write the votes of several images, keyed by image name, to a single `.npz` file."""
    images: dict[str, dict[str, Any]] = {}
    arrays: dict[str, npt.NDArray[Any]] = {}
    for image, vote in votes.items():
        images[image] = {"sigma": vote.sigma, "digest": vote.digest, "measurements": list(vote.measurements)}
        images[image]["origin"] = dict(vote.origin)
        arrays |= {f"{image}/{name}": array for name, array in vote.arrays().items()}
    header = json.dumps({"format": FORMAT, "images": images}, sort_keys=True)
    save_arrays(path, {"header": np.array(header), **arrays})


def load_votes(path: str | Path) -> dict[str, Votes]:
    """Return a dict of image names and votes from a file that `save_votes` wrote.

    Raises VotesError as `iterate_votes` does.
    """
    return dict(iterate_votes(path))


def iterate_votes(path: str | Path) -> Iterator[tuple[str, Votes]]:
    """Yield the name and votes of each image in a votes file, keeping only one image in memory.

    Raises VotesError for a file that is damaged or of a different kind.
    """
    try:
        with StoredArrays(path) as arrays:
            images = read_header(arrays)
            known = {f"{image}/{name}" for image, about in images.items() for name in _names(about["measurements"])}
            if other := arrays.keys() - known - {"header"}:
                raise ValueError(f"found the array {min(other)}, which its header does not name")
            for image, about in images.items():
                votes = _read_votes(arrays, image, about)
                if votes.digest != about["digest"]:
                    raise ValueError(f"the votes of {image} do not match their digest")
                yield image, votes
    except (KeyError, TypeError, ValueError) as error:
        raise VotesError(f"{path}: not a complete votes file ({error}); delete it and run snakemake again") from error


def read_header(arrays: StoredArrays) -> dict[str, dict[str, Any]]:
    """Read each image's sigma, digest, measurement names and origin from a votes file.

    Raises VotesError for a file that is not a votes file.
    """
    from segcert.io.json_models import fit  # imported here: certification needs only numpy and scipy
    from segcert.provenance.models import VotesHeader

    try:
        header = parse_json(str(arrays["header"]))
        fit(header, VotesHeader)
    except (ArraysError, KeyError, ValueError) as error:
        raise VotesError(f"{arrays.path}: not a votes file ({error})") from error
    images: dict[str, dict[str, Any]] = header["images"]
    return images


def _names(measurements: Iterable[str] = ()) -> list[str]:
    """Return the names of an image's arrays in a votes file."""
    return ["selection", "estimation", *PER_DRAW, "truth_areas", *(f"measurement/{name}" for name in measurements)]


def _read_votes(arrays: Mapping[str, npt.NDArray[Any]], image: str, about: Mapping[str, Any]) -> Votes:
    return Votes(
        selection=arrays[f"{image}/selection"],
        estimation=arrays[f"{image}/estimation"],
        sigma=about["sigma"],
        truth_areas=arrays[f"{image}/truth_areas"],
        measurements={name: arrays[f"{image}/measurement/{name}"] for name in about["measurements"]},
        origin=about["origin"],
        **{name: arrays[f"{image}/{name}"] for name in PER_DRAW},
    )


def narrow(counts: npt.NDArray[np.integer[Any]], n: int) -> Counts:
    """Convert counts of at most n to uint16, or to uint32 if n is too large for uint16."""
    return counts.astype(np.uint16 if n <= np.iinfo(np.uint16).max else np.uint32)


def _as_counts(name: str, values: npt.ArrayLike) -> Counts:
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise VotesError(f"{name}: found type {array.dtype}; expected counts, which are non-negative integers")
    if array.size and array.min() < 0:
        raise VotesError(f"{name}: found {array.min()}; expected counts, which are non-negative integers")
    return narrow(array, int(array.max(initial=0)))
