"""Read the common format back, every file compared with its digest."""

import csv
import dataclasses
import functools
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segcert.data.errors import DataError
from segcert.data.images import Pixels
from segcert.provenance.digests import file_digest


@dataclasses.dataclass(frozen=True)
class PreparedDataset:
    """A prepared data set, named by its index.csv."""

    index: Path

    @functools.cached_property
    def about(self) -> dict[str, Any]:
        """What dataset.json says: name, title, classes, channels, image_size, terms, citation, ..."""
        about: dict[str, Any] = json.loads((self.index.parent / "dataset.json").read_text())
        return about

    @functools.cached_property
    def rows(self) -> list[dict[str, str]]:
        """The rows of index.csv."""
        with self.index.open(newline="") as file:
            return list(csv.DictReader(file))

    def names(self, split: str, most: int | None = None) -> list[str]:
        """Names of the images of a split, in order; at most the first `most`."""
        return [row["image"] for row in self.rows if row["split"] == split][:most]

    def group(self, name: str) -> str:
        """The patient or sequence that an image belongs to."""
        return self._row(name)["group"]

    def image(self, name: str) -> Pixels:
        """Pixels of an image, (C, H, W), 8 bits."""
        pixels = self._read("images", name, "digest")
        return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def mask(self, name: str) -> Pixels:
        """Class ids of an image's mask, (H, W)."""
        return self._read("masks", name, "mask_digest")

    def stack(self, names: list[str]) -> tuple[Pixels, Pixels]:
        """Images (N, C, H, W) and masks (N, H, W) of several names."""
        return np.stack([self.image(name) for name in names]), np.stack([self.mask(name) for name in names])

    def _row(self, name: str) -> dict[str, str]:
        return next(row for row in self.rows if row["image"] == name)

    def _read(self, kind: str, name: str, column: str) -> Pixels:
        path = self.index.parent / kind / f"{name}.png"
        if not path.exists():
            raise DataError(f"{path}: missing, but {self.index} names it; delete {self.index} and run snakemake again")
        if file_digest(path) != self._row(name)[column]:
            raise DataError(
                f"{path}: differs from its digest in {self.index}; delete {self.index} and run snakemake again"
            )
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            return np.asarray(image)


def to_unit(pixels: Pixels) -> npt.NDArray[np.float32]:
    """8-bit pixels as float32 in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255)
