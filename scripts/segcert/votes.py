"""The counts: what sampling writes and certification reads. Numpy only.

Votes are sufficient statistics: for each pixel and class, in how many draws the model chose the class. They are
integers; alpha, tau and every metric are decided from them later, without touching a network.
"""

import dataclasses
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from segcert.provenance.atomic import save_arrays
from segcert.provenance.digests import array_digest

Counts = npt.NDArray[np.unsignedinteger[Any]]

FORMAT = "segcert-votes-1"


class VotesError(ValueError):
    """Votes that contradict themselves, or a file that holds none."""


@dataclasses.dataclass(frozen=True)
class Votes:
    """The votes of one image at one noise level.

    Attributes
    ----------
    selection
        (num_classes, H, W) unsigned integers: in how many of the n0 selection draws each pixel had each class.
    estimation
        (num_classes, H, W) unsigned integers: the same for the n estimation draws, which are independent.
    sigma
        Standard deviation of the noise, in units of pixels in [0, 1].
    areas
        (n0 + n, num_classes) pixels of each class in each draw, selection draws first; empty if not kept.
    origin
        What the votes were drawn from (digests of image and networks, seed, batch size, ...), as plain JSON.
    """

    selection: Counts
    estimation: Counts
    sigma: float
    areas: Counts = dataclasses.field(default_factory=lambda: np.zeros((0, 0), np.uint32))
    origin: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, counts in (("selection", self.selection), ("estimation", self.estimation)):
            if counts.ndim != 3 or counts.dtype.kind != "u":
                raise VotesError(
                    f"{name}: found an array of shape {counts.shape} and type {counts.dtype}; "
                    "expected unsigned counts of shape (num_classes, H, W)"
                )
            totals = counts.sum(axis=0, dtype=np.int64)
            if totals.min() != totals.max():
                raise VotesError(
                    f"{name}: pixels have {totals.min()} to {totals.max()} votes; expected the same number at each"
                )
        if self.selection.shape != self.estimation.shape:
            raise VotesError(
                f"selection has shape {self.selection.shape}, estimation {self.estimation.shape}; expected the same"
            )
        if not 0 < self.sigma < math.inf:
            raise VotesError(f"sigma: found {self.sigma}; expected a noise level above 0, in units of pixels in [0, 1]")

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
        """SHA-256 over the counts."""
        return array_digest(np.stack([self.selection, self.estimation]).astype(np.uint32))

    @classmethod
    def from_counts(cls, selection: npt.ArrayLike, estimation: npt.ArrayLike, sigma: float) -> Self:
        """Votes drawn elsewhere: integer counts of shape (num_classes, H, W)."""
        return cls(_as_counts("selection", selection), _as_counts("estimation", estimation), sigma)

    def save(self, path: str | Path) -> None:
        """Write these votes to one `.npz` file (no pickle; the same votes give the same bytes)."""
        save_votes(path, {"image": self})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that `save` wrote. Raises VotesError if it holds anything else."""
        votes = load_votes(path)
        if len(votes) != 1:
            raise VotesError(f"{path}: holds the votes of {len(votes)} images; expected one (read it with load_votes)")
        (only,) = votes.values()
        return cls(**{field.name: getattr(only, field.name) for field in dataclasses.fields(only)})


def save_votes(path: str | Path, votes: Mapping[str, Votes]) -> None:
    """Write the votes of several images, by image name, to one `.npz` file."""
    header = {
        "format": FORMAT,
        "images": {
            image: {"sigma": vote.sigma, "digest": vote.digest, "origin": dict(vote.origin)}
            for image, vote in votes.items()
        },
    }
    arrays: dict[str, npt.NDArray[Any]] = {"header": np.array(json.dumps(header, sort_keys=True))}
    for image, vote in votes.items():
        arrays |= {
            f"{image}/selection": vote.selection,
            f"{image}/estimation": vote.estimation,
            f"{image}/areas": vote.areas,
        }
    save_arrays(path, arrays)


def load_votes(path: str | Path) -> dict[str, Votes]:
    """Read a file that `save_votes` wrote. Raises VotesError if it is damaged or holds anything else."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            header = json.loads(str(arrays["header"]))
            if header["format"] != FORMAT:
                raise ValueError(f"format {header['format']!r} instead of {FORMAT!r}")
            votes = {
                image: Votes(
                    arrays[f"{image}/selection"],
                    arrays[f"{image}/estimation"],
                    about["sigma"],
                    arrays[f"{image}/areas"],
                    about["origin"],
                )
                for image, about in header["images"].items()
            }
    except (zipfile.BadZipFile, KeyError, EOFError, TypeError, ValueError, zlib.error) as error:
        raise VotesError(f"{path}: not a whole votes file ({error}); delete it and run snakemake again") from error
    for image, vote in votes.items():
        if vote.digest != header["images"][image]["digest"]:
            raise VotesError(
                f"{path}: the counts of {image} differ from their digest; delete the file and run snakemake again"
            )
    return votes


def narrow(counts: npt.NDArray[np.integer[Any]], n: int) -> Counts:
    """The counts in the smallest unsigned type that holds n (at least uint16)."""
    return counts.astype(np.uint16 if n <= np.iinfo(np.uint16).max else np.uint32)


def _as_counts(name: str, values: npt.ArrayLike) -> Counts:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or (array.size and array.min() < 0):
        raise VotesError(f"{name}: found type {array.dtype}; expected counts, that is integers from 0 up")
    return narrow(array, int(array.max(initial=0)))
