"""The rows of index.csv: their schema, and the rule that a group has one split."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from segcert.data.errors import DataError

SPLITS = ("train", "val", "test")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Millimetres = Annotated[
    Annotated[float, Field(gt=0)] | None, BeforeValidator(lambda cell: None if cell == "" else cell)
]


class Row(BaseModel):
    """A prepared image: its group, split, digests, the size it had, and the size of a prepared pixel where known."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    image: str = Field(pattern=r"^[^/\\\x00-\x1f\x7f]+$", description="Name: images/<image>.png and masks/<image>.png")
    group: str = Field(
        pattern=r"^[^\x00-\x1f\x7f]+$", description="Patient or sequence; the image itself where nothing is known"
    )
    split: Literal["train", "val", "test"]
    digest: Sha256 = Field(description="SHA-256 of the image file")
    mask_digest: Sha256 = Field(description="SHA-256 of the mask file")
    height: int = Field(gt=0, description="Of the image as it was found, in pixels")
    width: int = Field(gt=0)
    pixel_height: Millimetres = Field(None, description="Of a prepared pixel, in mm; empty where it is not known")
    pixel_width: Millimetres = None


def write_index(path: Path, rows: Iterable[Row]) -> None:
    """Write index.csv."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(Row.model_fields), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row.model_dump() for row in rows)


def read_index(path: Path) -> list[Row]:
    """The rows of index.csv. Raises DataError, naming file, line and column, where one does not fit the schema."""
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
                f"{path}: line {number}, column {'.'.join(map(str, problem['loc']))}: found {problem['input']!r}; "
                f"{problem['msg']}. Delete {path} and run snakemake again"
            ) from error
    return rows


def digests_of(rows: Iterable[Row], folder: str | Path) -> dict[str, str]:
    """SHA-256 of the image and mask of each row, by path; `folder` holds index.csv."""
    return {
        f"{folder}/{kind}/{row.image}.png": digest
        for row in rows
        for kind, digest in (("images", row.digest), ("masks", row.mask_digest))
    }


def check_groups(what: str, rows: Iterable[tuple[str, str, str]], group: str) -> None:
    """Raise DataError if a group is on two sides; rows of (image, group, split)."""
    seen: dict[str, tuple[str, str]] = {}
    for image, name, split in rows:
        first, side = seen.setdefault(name, (image, split))
        if side != split:
            raise DataError(
                f"{what}: {group} {name} is in two splits: {first} in {side}, {image} in {split}. Put all of its "
                "images into one split; a published split that leaks has to say so with `leaks: true`"
            )
