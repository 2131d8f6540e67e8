"""Prepared data sets: the schema of index.csv, and a reader that compares every file with its recorded digest."""

import csv
import dataclasses
import functools
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, ValidationError

from segcert.data.errors import DataError
from segcert.data.raster import Labels, PixelSize, to_unit
from segcert.io.json_models import Part, read_document
from segcert.measurements import MM, pixel_scale

SPLITS = ("train", "val", "test")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Length = Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(lambda cell: None if cell == "" else cell)]


class Row(BaseModel):
    """A row of index.csv, which describes one prepared image. `pixel_height` and `pixel_width` are None if unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    image: str = Field(pattern=r"^[^/\\\x00-\x1f\x7f]+$", description="Image name, as in images/<image>.png")
    group: str = Field(
        pattern=r"^[^\x00-\x1f\x7f]+$", description="Patient or video sequence; the image name if neither is known"
    )
    split: Literal["train", "val", "test"]
    digest: Sha256 = Field(description="SHA-256 of the image file")
    mask_digest: Sha256 = Field(description="SHA-256 of the mask file")
    height: int = Field(gt=0, description="Original height of the image, in pixels")
    width: int = Field(gt=0, description="Original width of the image, in pixels")
    pixel_height: Length = Field(
        None, description="Height of one pixel in the prepared image, in `pixel_unit`; empty if unknown"
    )
    pixel_width: Length = Field(
        None, description="Width of one pixel in the prepared image, in `pixel_unit`; empty if unknown"
    )
    pixel_unit: Literal["", "mm", "mm at the detector", "original pixel widths"] = Field(
        "", description="Unit of `pixel_height` and `pixel_width`; empty if they are unknown"
    )


def write_index(path: Path, rows: Iterable[Row]) -> None:
    """Write the rows of index.csv to `path`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(Row.model_fields), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row.model_dump() for row in rows)


def read_index(path: Path) -> list[Row]:
    """Read the rows of index.csv.

    Raises DataError if the file cannot be read or if a row is invalid. For an invalid row, the message names the line
    and the column.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file, restkey="more"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error}). Delete it and run snakemake again") from error
    rows = []
    for number, cells in enumerate(lines, start=2):
        try:
            rows.append(Row.model_validate(cells))
        except ValidationError as error:
            problem = error.errors()[0]
            raise DataError(
                f"{path}: line {number}, column `{'.'.join(map(str, problem['loc']))}`: found {problem['input']!r}; "
                f"{problem['msg']}. Delete {path} and run snakemake again"
            ) from error
    return rows


def digests_of(rows: Iterable[Row], folder: str | Path) -> dict[str, str]:
    """Return a dict that maps the path of every image and mask in `rows` to the SHA-256 of the file.

    `folder` is the folder that contains index.csv.
    """
    return {
        f"{folder}/{kind}/{row.image}.png": digest
        for row in rows
        for kind, digest in (("images", row.digest), ("masks", row.mask_digest))
    }


def check_groups(what: str, rows: Iterable[tuple[str, str, str]], group: str) -> None:
    """Raise DataError if images of one group are in two splits. Each row is a tuple (image, group, split).

    The error message begins with `what`. `group` is the word for a group in the message, such as "patient".
    """
    seen: dict[str, tuple[str, str]] = {}
    for image, name, split in rows:
        first, side = seen.setdefault(name, (image, split))
        if side != split:
            raise DataError(
                f"{what}: {group} {name!r} is in two splits: image {first} is in {side}, image {image} is in "
                f"{split}. Put all images of the same group into one split. To use a published split file "
                "unchanged, add `leaks: true` to the file"
            )


class About(Part):
    """The keys that the library reads from dataset.json, the description of a prepared data set."""

    bits: int = Field(ge=1, le=16)
    channels: Literal[1, 3]
    classes: list[str] = Field(min_length=1)
    image_size: PositiveInt
    name: str
    title: str
    synthetic: bool
    window: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    keep_aspect: bool = False
    lossy: bool = False


class Splits(Part):
    """Content of a split file: the image names in each split. If `leaks` is true, a group may be in several splits."""

    train: list[str | int]
    val: list[str | int]
    test: list[str | int]
    leaks: bool = False


@dataclasses.dataclass(frozen=True)
class PreparedDataset:
    """A prepared data set, identified by the path of its index.csv."""

    index: Path

    @functools.cached_property
    def about(self) -> dict[str, Any]:
        """The content of dataset.json: the catalogue entry (name, classes, bits and so on) and `image_size`."""
        return self._json("dataset.json", About)

    @functools.cached_property
    def rows(self) -> dict[str, Row]:
        """A dict that maps image names to the rows of index.csv."""
        return {row.image: row for row in read_index(self.index)}

    def check(self) -> None:
        """Compare every image and mask with its digest, and index.csv with splits.json. Call this before training.

        Raises DataError if a file is missing or has changed, or if a group is in two splits. The message names the
        file.
        """
        stated = self._json("splits.json", Splits)
        for split in SPLITS:
            if stated[split] != self.names(split):
                raise DataError(
                    f"{self.index}: its {split} images differ from those in splits.json; delete {self.index} and "
                    "run snakemake again"
                )
        if not stated.get("leaks"):
            check_groups(str(self.index), [(row.image, row.group, row.split) for row in self.rows.values()], "group")
        for name, row in self.rows.items():
            self._checked("images", name, row.digest)
            self._checked("masks", name, row.mask_digest)

    def names(self, split: str, most: int | None = None) -> list[str]:
        """Return the names of the images in a split, in the order of index.csv.

        If `most` is given, only the first `most` names are returned.
        """
        return [row.image for row in self.rows.values() if row.split == split][:most]

    def group(self, name: str) -> str:
        """Return the group of an image: its patient or video sequence, or the name of the image if neither is known."""
        return self.rows[name].group

    def pixel_size(self, name: str) -> PixelSize | None:
        """Return the height and width, in mm, of the area in the patient that a pixel of a prepared image covers.

        Returns None if this size is unknown.
        """
        size, unit = self.pixel_scale(name)
        return size if unit == MM else None

    def pixel_scale(self, name: str) -> tuple[PixelSize | None, str]:
        """Return the pixel size for measuring lengths in a prepared image, and the unit of these lengths."""
        row, size = self.rows[name], self.about["image_size"]
        known = (row.pixel_height, row.pixel_width) if row.pixel_height and row.pixel_width else None
        stretch = (1.0, 1.0) if self.about.get("keep_aspect") else (row.height / size, row.width / size)
        return pixel_scale(known, row.pixel_unit or MM, stretch)

    def image(self, name: str) -> npt.NDArray[np.float32]:
        """Return an image as a float32 array of shape (C, H, W), with values in [0, 1].

        If the bit depth is b, all values are multiples of 1 / (2^b - 1).
        """
        pixels = self._read("images", name, self.rows[name].digest)
        planes = pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
        return to_unit(planes, self.about["bits"])

    def mask(self, name: str) -> Labels:
        """Return an image's mask: an array of class ids, of shape (H, W)."""
        mask: Labels = self._read("masks", name, self.rows[name].mask_digest)
        return mask

    def stack(self, split: str) -> tuple[npt.NDArray[np.float32], Labels]:
        """Return the images and the masks of a split, as arrays of shape (N, C, H, W) and (N, H, W)."""
        names = self.names(split)
        return np.stack([self.image(name) for name in names]), np.stack([self.mask(name) for name in names])

    def _read(self, kind: str, name: str, digest: str) -> npt.NDArray[Any]:
        with Image.open(io.BytesIO(self._checked(kind, name, digest))) as image:
            return np.asarray(image)

    def _checked(self, kind: str, name: str, digest: str) -> bytes:
        path = self.index.parent / kind / f"{name}.png"
        if not path.exists():
            raise DataError(
                f"{path}: missing, although {self.index} lists this file; delete {self.index} and run snakemake again"
            )
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise DataError(
                f"{path}: the file does not match its digest in {self.index}; delete {self.index} and run snakemake "
                "again"
            )
        return data

    def _json(self, name: str, model: type[Part]) -> dict[str, Any]:
        advice = f"delete {self.index} and run snakemake again"
        return read_document(self.index.parent / name, model, DataError, "cannot be read", advice)
