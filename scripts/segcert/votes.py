"""Votes: the counts that sampling writes and certification reads. Needs numpy only.

Votes are sufficient statistics: the number of draws in which the model chose each class at each pixel. They are
integers. Everything that depends on alpha and tau, and every metric, is computed from them later, without a network.
The observables of each draw (areas, overlaps with the ground truth, measurements, the label map) are stored with them.
A stored label map takes ceil(log2(num_classes)) bits per pixel.
"""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from segcert.io.arrays import ArraysError, StoredArrays, save_arrays
from segcert.io.json_files import parse_json
from segcert.provenance.digests import array_digest, value_digest

Bytes = npt.NDArray[np.uint8]


def bits_per_pixel(num_classes: int) -> int:
    """Number of bits in a class id."""
    return max(1, (num_classes - 1).bit_length())


def pack_labels(labels: Bytes, num_classes: int) -> Bytes:
    """Pack label maps (draws, H, W) of ids below num_classes into (draws, bits, ceil(H W / 8)), one plane per bit."""
    flat = labels.reshape(len(labels), 1, labels[0].size)
    planes = (flat >> np.arange(bits_per_pixel(num_classes), dtype=np.uint8)[:, None]) & 1
    return np.packbits(planes, axis=2)


def unpack_labels(packed: Bytes, shape: tuple[int, int]) -> Bytes:
    """Invert `pack_labels`: unpack (draws, bits, bytes) into label maps (draws, H, W)."""
    planes = np.unpackbits(packed, axis=2, count=shape[0] * shape[1])
    weights = np.uint8(1) << np.arange(packed.shape[1], dtype=np.uint8)
    labels: Bytes = (planes * weights[:, None]).sum(axis=1, dtype=np.uint8)
    return labels.reshape(len(packed), *shape)


Counts = npt.NDArray[np.unsignedinteger[Any]]

FORMAT = "segcert-votes-2"
PER_DRAW = ("areas", "overlaps", "draws")


class VotesError(ValueError):
    """Votes that contradict themselves, or a file that is not a votes file."""


@dataclasses.dataclass(frozen=True)
class Votes:
    """The votes of one image at one noise level.

    Attributes
    ----------
    selection
        (num_classes, H, W) unsigned integers: the number of the n0 selection draws in which each pixel had each class.
    estimation
        (num_classes, H, W) unsigned integers: the same for the n estimation draws, which are independent of them.
    sigma
        Standard deviation of the noise, in units of pixels in [0, 1].
    areas
        (n0 + n, num_classes) number of pixels of each class in each draw, selection draws first; empty if not kept.
    overlaps
        (n0 + n, num_classes) number of pixels in each draw that have each class both in the draw and in the ground
        truth; empty if no ground truth was given.
    truth_areas
        (num_classes,) number of pixels of each class in the ground truth; empty if none was given.
    measurements
        Values by name, one per draw: (n0 + n,) float64, selection draws first.
    draws
        The packed label map of each draw (see `pack_labels`); empty if not kept.
    origin
        The source of the votes (digests of image and networks, seed, batch size, ...), as plain JSON.
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
                    "expected unsigned counts of shape (num_classes, H, W)"
                )
            totals = counts.sum(axis=0, dtype=np.int64)
            if totals.min() != totals.max():
                raise VotesError(
                    f"{name}: found {totals.min()} to {totals.max()} votes per pixel; expected the same number at each"
                )
        if self.selection.shape != self.estimation.shape:
            raise VotesError(
                f"selection has shape {self.selection.shape}, estimation {self.estimation.shape}; expected equal shapes"
            )
        if not 0 < self.sigma < math.inf:
            raise VotesError(f"sigma: found {self.sigma}; expected a noise level above 0, in units of pixels in [0, 1]")
        draws, (classes, height, width) = self.n0 + self.n, self.selection.shape
        self._check_shape("areas", self.areas, (draws, classes))
        self._check_shape("overlaps", self.overlaps, (draws, classes))
        self._check_shape("draws", self.draws, (draws, bits_per_pixel(classes), -(-height * width // 8)))
        self._check_shape("truth_areas", self.truth_areas, (classes,))
        for name, values in self.measurements.items():
            self._check_shape(name, values, (draws,))
        parts = (
            ("selection", self.selection, self.areas[: self.n0]),
            ("estimation", self.estimation, self.areas[self.n0 :]),
        )
        for name, counts, areas in parts:
            expected = counts.sum(axis=(1, 2), dtype=np.int64)
            if len(self.areas) and not np.array_equal(areas.sum(axis=0, dtype=np.int64), expected):
                raise VotesError(f"areas: the sum over the {name} draws differs from the counts; draw the votes again")

    def _check_shape(self, name: str, values: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
        """Raise VotesError if an optional array has another shape. An empty array means that it was not kept."""
        if len(values) not in (0, self.n0 + self.n) and name != "truth_areas":
            raise VotesError(f"{name}: found {len(values)} draws; expected {self.n0} + {self.n}, or none")
        if values.size and values.shape != shape:
            raise VotesError(f"{name}: found an array of shape {values.shape}; expected {shape}, or none")

    @property
    def n0(self) -> int:
        """Number of selection draws."""
        return int(self.selection[:, 0, 0].sum(dtype=np.int64))

    @property
    def n(self) -> int:
        """Number of estimation draws."""
        return int(self.estimation[:, 0, 0].sum(dtype=np.int64))

    @property
    def digest(self) -> str:
        """SHA-256 of all arrays, sigma and origin."""
        arrays = {name: array_digest(array) for name, array in self.arrays().items()}
        return value_digest([arrays, self.sigma, dict(self.origin)])

    @property
    def dice(self) -> npt.NDArray[np.float64]:
        """Dice of each draw's label map with the ground truth, (n0 + n, num_classes); NaN where both lack the class.

        Raises VotesError if no ground truth was given when the votes were drawn.
        """
        if not self.overlaps.size:
            raise VotesError("overlaps: missing; sample with `truth` to get the Dice of each draw")
        sizes = self.areas.astype(np.float64) + self.truth_areas
        dice: npt.NDArray[np.float64] = np.full(sizes.shape, np.nan)
        np.divide(2.0 * self.overlaps, sizes, out=dice, where=sizes > 0)
        return dice

    def label_maps(self) -> npt.NDArray[np.uint8]:
        """Return the label map of each draw, (n0 + n, H, W). Raises VotesError if they were not kept."""
        if not len(self.draws):
            raise VotesError("draws: missing; sample with `keep_draws` to get the label map of each draw")
        return unpack_labels(self.draws, self.estimation.shape[1:])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all arrays by name, as they are stored."""
        names = ("selection", "estimation", *PER_DRAW, "truth_areas")
        measured = {f"measurement/{name}": values for name, values in self.measurements.items()}
        return {name: getattr(self, name) for name in names} | measured

    @classmethod
    def from_counts(cls, selection: npt.ArrayLike, estimation: npt.ArrayLike, sigma: float) -> Self:
        """Build votes from counts that were drawn elsewhere: integers of shape (num_classes, H, W).

        The guarantee of a certificate holds if the counts come from independent draws of x + sigma * normal, and the
        draws of `selection` are independent of those of `estimation`. Raises VotesError for anything but counts.

        Examples
        --------
        >>> votes = Votes.from_counts([[[9]], [[1]]], [[[97]], [[3]]], sigma=0.25)
        >>> votes.n0, votes.n
        (10, 100)
        """
        return cls(_as_counts("selection", selection), _as_counts("estimation", estimation), sigma)

    def save(self, path: str | Path) -> None:
        """Write these votes to one `.npz` file without pickles. The same votes give the same bytes."""
        save_votes(path, {"image": self})

    @classmethod
    def load(cls, path: str | Path) -> "Votes":
        """Read a file that `save` wrote. Raises VotesError for any other file."""
        votes = load_votes(path)
        if len(votes) != 1:
            raise VotesError(f"{path}: found the votes of {len(votes)} images; expected one. Read it with load_votes")
        return next(iter(votes.values()))


def save_votes(path: str | Path, votes: Mapping[str, Votes]) -> None:
    """Write the votes of several images, keyed by image name, to one `.npz` file."""
    images: dict[str, dict[str, Any]] = {}
    arrays: dict[str, npt.NDArray[Any]] = {}
    for image, vote in votes.items():
        images[image] = {"sigma": vote.sigma, "digest": vote.digest, "measurements": list(vote.measurements)}
        images[image]["origin"] = dict(vote.origin)
        arrays |= {f"{image}/{name}": array for name, array in vote.arrays().items()}
    header = json.dumps({"format": FORMAT, "images": images}, sort_keys=True)
    save_arrays(path, {"header": np.array(header), **arrays})


def load_votes(path: str | Path) -> dict[str, Votes]:
    """Read a file that `save_votes` wrote. Raises VotesError for a damaged file and any other file."""
    return dict(iterate_votes(path))


def iterate_votes(path: str | Path) -> Iterator[tuple[str, Votes]]:
    """Yield name and votes of each image in a votes file, with one image in memory at a time. Raises VotesError."""
    try:
        with StoredArrays(path) as arrays:
            for image, about in read_header(arrays).items():
                votes = _read_votes(arrays, image, about)
                if votes.digest != about["digest"]:
                    raise ValueError(f"the votes of {image} do not match their digest")
                yield image, votes
    except (KeyError, TypeError, ValueError) as error:
        raise VotesError(f"{path}: not a complete votes file ({error}); delete it and run snakemake again") from error


def read_header(arrays: StoredArrays) -> dict[str, dict[str, Any]]:
    """Read sigma, digest, names of measurements and origin of each image in a votes file.

    Raises VotesError for a file without votes.
    """
    from segcert.io.json_models import fit  # here, because certification needs numpy and scipy only
    from segcert.provenance.models import VotesHeader

    try:
        header = parse_json(str(arrays["header"]))
        fit(header, VotesHeader)
    except (ArraysError, KeyError, ValueError) as error:
        raise VotesError(f"{arrays.path}: not a votes file ({error})") from error
    images: dict[str, dict[str, Any]] = header["images"]
    return images


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
    """Return the counts in the smallest unsigned type that can represent n (at least uint16)."""
    return counts.astype(np.uint16 if n <= np.iinfo(np.uint16).max else np.uint32)


def _as_counts(name: str, values: npt.ArrayLike) -> Counts:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or (array.size and array.min() < 0):
        raise VotesError(f"{name}: found type {array.dtype}; expected counts, which are integers from 0 up")
    return narrow(array, int(array.max(initial=0)))
