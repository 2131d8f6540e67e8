"""User-supplied data: data sets (`kind: folder`), and single images to certify.

Images and masks of a data set are matched by their names in folders, or listed in a table. Single images are PNG, TIFF
or DICOM files.
"""

import csv
import dataclasses
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segcert.data.archives import File, list_folder
from segcert.data.catalogue import Dataset, ImageKey, SplitRule
from segcert.data.dataset import SPLITS
from segcert.data.decode import IMAGE_SUFFIXES, decode, decode_values, file_format
from segcert.data.errors import DataError
from segcert.data.pairs import LeftOut, Pair, SearchResult
from segcert.data.raster import Labels, Raster
from segcert.data.release import decoded
from segcert.data.splits import GROUPS


@dataclasses.dataclass
class OwnImage:
    """An entry of a user-supplied data set: paths of image and mask, group and split; "" if there is none."""

    image: str = ""
    mask: str = ""
    group: str = ""
    split: str = ""


def list_own(name: str, settings: Mapping[str, Any]) -> dict[str, OwnImage]:
    """List the images of an entry of `own_data`, by name. Raises DataError for unusable folders and tables."""
    rows = _in_table(name, settings) if settings["table"] else _in_folders(name, settings)
    if pattern := settings["group_pattern"]:
        for image, row in rows.items():
            match = re.search(pattern, image)
            if not match or not match[1]:
                raise DataError(
                    f"own_data.{name}: the image {image} does not match `group_pattern: {pattern}`; expected a pattern "
                    "that finds a group in every name"
                )
            row.group = match[1]
    return dict(sorted(rows.items()))


def _in_folders(name: str, settings: Mapping[str, Any]) -> dict[str, OwnImage]:
    rows: dict[str, OwnImage] = {}
    folders = {key: Path(settings[key] or "").expanduser() for key in ("images", "masks")}
    for key, folder in folders.items():
        if not settings[key] or not folder.is_dir():
            raise DataError(
                f"own_data.{name}: found no folder {settings[key] or ''!r}; expected `{key}: /path/to/{key}`, or a "
                "`table` that lists the files"
            )
    together = folders["images"].resolve() == folders["masks"].resolve()
    if together and not settings["mask_suffix"]:
        raise DataError(
            f"own_data.{name}: images and masks are in the same folder; expected a `mask_suffix` that distinguishes "
            "them. Write, for example: `mask_suffix: _mask.png`"
        )
    for kind, folder in (("image", folders["images"]), ("mask", folders["masks"])):
        for file in list_folder(folder):
            suffix = settings[f"{kind}_suffix"]
            is_mask = together and file.path.endswith(settings["mask_suffix"])
            if not file.path.endswith(suffix) or (kind == "image" and is_mask):
                continue
            if not file.path.lower().endswith(IMAGE_SUFFIXES):
                continue
            image = file.path.removesuffix(suffix) if suffix else str(Path(file.path).with_suffix(""))
            row = rows.setdefault(image.replace("/", "_"), OwnImage())
            if there := getattr(row, kind):
                raise DataError(f"{there} and {folder / file.path} have the same name; remove one of them")
            setattr(row, kind, str(folder / file.path))
    return rows


def _in_table(name: str, settings: Mapping[str, Any]) -> dict[str, OwnImage]:
    table = Path(settings["table"]).expanduser()
    columns, lines = _read_table(settings)
    group_column = settings["group_column"] or "group"
    if not {"image", "mask"} <= set(columns) or (settings["group_column"] and group_column not in columns):
        wanted = f"image, mask, {group_column}" if settings["group_column"] else "image, mask"
        raise DataError(f"{table}: found the columns {', '.join(columns)}; expected {wanted}")
    rows: dict[str, OwnImage] = {}
    for number, line in enumerate(lines, start=2):
        row = OwnImage(group=line.get(group_column, ""), split=line.get("split", ""))
        for kind in filter(line.get, ("image", "mask")):  # relative to that folder if given, else to the table
            path = Path(settings[f"{kind}s"] or table.parent).expanduser() / line[kind]
            if not path.is_file():
                raise DataError(
                    f"{table}: line {number}: lists {line[kind]}, but there is no {path}. Correct the table or leave "
                    "the cell empty"
                )
            setattr(row, kind, str(path))
        image = line.get("name") or Path(row.image or row.mask).stem
        if not image:
            raise DataError(f"{table}: line {number}: found neither image nor mask; expected one of them at least")
        if image in rows:
            raise DataError(
                f"{table}: line {number}: found the name {image} twice; expected a different name for each image. Add "
                "a column `name`"
            )
        if group_column in columns and not row.group:
            raise DataError(
                f"{table}: line {number}: the column {group_column} is empty; expected the group of {image}"
            )
        if row.split not in ("", *SPLITS):
            raise DataError(f"{table}: line {number}: found the split {row.split!r}; expected {', '.join(SPLITS)}")
        rows[image] = row
    return rows


def _read_table(settings: Mapping[str, Any]) -> tuple[list[str], list[dict[str, str]]]:
    """Read the columns and lines of the table."""
    path = Path(settings["table"]).expanduser()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            lines = [{key: value.strip() for key, value in line.items() if key} for line in reader]
            return list(reader.fieldnames or ()), lines
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: there is no such file; expected a CSV table with the columns image and mask. Write its path, "
            "relative to the folder in which you start snakemake: `table: path/to/table.csv`"
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: cannot be read as a CSV table ({error}); save it as UTF-8, separated by commas"
        ) from error


def read_own_image(path: str | Path, bits: int | None = None) -> Raster:
    """Read a PNG, TIFF or DICOM file. `bits`: depth of its grid, if the file does not state it (segcert.data.decode).

    Raises DataError, with the file's name, for any other file.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    data = path.read_bytes()
    if not file_format(data):
        raise DataError(
            f"{path}: is not a PNG, TIFF or DICOM file; convert it (JPEG changes the pixels that are certified)"
        )
    try:
        return decode(data, bits)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


BACKGROUND = "background"
NOT_IN_PATHS = {
    "a brace, which Snakemake reads as a wildcard,": "[{}]",
    "a name in angle brackets, which Snakemake reads as a variable,": "<[^>]*>",
    "a line break or other control character": r"[\0-\x1f\x7f]",
    "bytes that are not UTF-8": r"[\ud800-\udfff]",
}
# Keys of `own_data` that mean the same in the catalogue
TEXT_KEYS = ["modality", "licence", "citation"]
IMAGE_KEYS = ["channels", "bits", "pixel_size", "any_orientation", "allow_empty", "left_out_limit"]
JPEG_GAP = 32  # JPEG can confuse values that are closer than this


@dataclasses.dataclass(frozen=True)
class OwnFolder:
    """A user-supplied data set: its name and its settings, an entry of `own_data` in the configuration."""

    name: str
    settings: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class ids, background first."""
        named = dict.fromkeys(self.settings["values"].values())
        return (BACKGROUND, *(name for name in named if name != BACKGROUND))

    @property
    def about(self) -> Dataset:
        """The data set as a catalogue entry. Raises DataError for a table that cannot be read."""
        chosen = self.settings
        columns = _read_table(chosen)[0] if chosen["table"] else []
        grouped = bool(chosen["group_pattern"]) or (chosen["group_column"] or "group") in columns
        splits = {"groups": GROUPS}
        if "split" in columns:  # first in the mapping: the default
            splits = {"table": SplitRule("as the table states", lambda key: key.part or ""), **splits}
        return Dataset(
            name=self.name,
            title=chosen["title"] or self.name,
            classes=self.classes,
            terms="User-supplied data.",
            splits=splits,
            group="group" if grouped else "image",
            **{key: chosen[key] for key in (*TEXT_KEYS, *IMAGE_KEYS)},
        )

    def files(self) -> list[Path]:
        """List every file of the data set: table, images and masks. Raises DataError."""
        listed = [path for row in list_own(self.name, self.settings).values() for path in (row.image, row.mask) if path]
        table = self.settings["table"]
        files = sorted({*map(Path, listed), *([Path(table).expanduser()] if table else [])})
        for path in map(str, files):
            if found := next((kind for kind, pattern in NOT_IN_PATHS.items() if re.search(pattern, path)), None):
                raise DataError(f"{path!r}: found {found} in the path; rename the file or its folder")
        return files

    def tests(self, rule: SplitRule) -> int:
        """Return the number of test images under a rule."""
        rows = list_own(self.name, self.settings).items()
        keys = (ImageKey(self.name, name, row.group or name, row.split or None) for name, row in rows if row.image)
        return sum(rule.split_of(key) == "test" for key in keys)

    def find(self, sha256: Mapping[str, str]) -> SearchResult:
        """Find every image with its mask, and the images and masks without a partner.

        `sha256` has the recorded digest of each file. Raises DataError for unusable folders, tables or names.
        """
        pairs, left_out = [], []
        for name, row in list_own(self.name, self.settings).items():
            if not row.image or not row.mask:
                reason = "no mask" if row.image else "a mask without an image"
                left_out.append(LeftOut(name, reason, row.image or row.mask))
                continue
            load = functools.partial(self._load, *(self._file(path, sha256) for path in (row.image, row.mask)))
            pairs.append(Pair(name, row.group or name, load, row.split or None))
        if not pairs:
            raise DataError(
                f"own_data.{self.name}: found no image with a mask; check `images`, `masks` and their suffixes"
            )
        return SearchResult(pairs, left_out)

    def _load(self, image_file: File, mask_file: File) -> tuple[Raster, Labels]:
        image: Raster = decoded(image_file, self._image)
        labels: Labels = decoded(mask_file, self._labels)
        if labels.shape != image.size:
            raise DataError(
                f"{mask_file} is {labels.shape[1]}x{labels.shape[0]}, its image is {image.size[1]}x{image.size[0]}; "
                "expected the same size"
            )
        return image, labels

    def _image(self, data: bytes) -> Raster:
        """Decode an image file to the configured number of channels and depth."""
        chosen = self.settings
        image = decode(data, window=chosen["window"])
        if not chosen["window"] and min(image.bits, chosen["bits"]) > 8 and file_format(data) != "DICOM":
            image = decode(data, chosen["bits"])  # these files do not state how many of their 16 bits they use
        if image.bits > chosen["bits"] and not chosen["window"]:
            raise DataError(
                f"has {image.bits} bits; write `bits: {image.bits}` in own_data.{self.name} to keep them, or choose a "
                "range of stored values with `window: [low, high]`"
            )
        if chosen["channels"] == 1 and (image.pixels != image.pixels[:1]).any():
            raise DataError(f"is a colour image; write `channels: 3` in own_data.{self.name}, or convert it to gray")
        image = image.with_channels(chosen["channels"]).with_bits(chosen["bits"])
        return dataclasses.replace(image, pixel_size=chosen["pixel_size"] or image.pixel_size)

    def _labels(self, data: bytes) -> Labels:
        """Decode a mask file to class ids."""
        found, exact = decode_values(data)
        known = np.array(sorted(self.settings["values"]))
        values = found
        if not exact:  # replace each value of a JPEG file by the nearest known one
            if np.diff(known).min() < JPEG_GAP:
                raise DataError(
                    f"is a JPEG file, which does not preserve values as close as {', '.join(map(str, known))}; save "
                    "masks as PNG"
                )
            values = known[np.abs(np.arange(256)[:, None] - known).argmin(axis=1)][found]
        if len(unknown := np.setdiff1d(values, known)):
            raise DataError(
                f"has the value {unknown[0]}; expected {', '.join(map(str, known))}. Add it to `values` in "
                f"own_data.{self.name}"
            )
        labels = np.zeros(values.shape, np.uint8)
        for value, title in self.settings["values"].items():
            labels[values == value] = self.classes.index(title)
        return labels

    def _file(self, path: str, sha256: Mapping[str, str]) -> File:
        if path not in sha256:
            manifest = f"data/raw/{self.name}/manifest.json"
            raise DataError(f"{path}: not listed in {manifest}; delete the manifest and run snakemake again")
        return File(Path(path).name, str(Path(path).parent), Path(path).read_bytes, sha256[path])
