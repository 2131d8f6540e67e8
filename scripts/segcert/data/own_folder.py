"""A data set of one's own: a folder of images and one of masks, or a table that lists them (`kind: folder`)."""

import csv
import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segcert.data.archives import File, list_folder
from segcert.data.catalogue import Dataset, SplitRule
from segcert.data.decoding import IMAGE_SUFFIXES, decode, decode_values, file_format
from segcert.data.errors import DataError
from segcert.data.images import Labels, Raster
from segcert.data.layout import decoded
from segcert.data.pairs import Found, LeftOut, Pair
from segcert.data.splits import GROUPS, SPLITS

BACKGROUND = "background"


@dataclasses.dataclass(frozen=True)
class OwnFolder:
    """Where images and masks lie and what they mean: the keys of an entry of `own_data` in the configuration."""

    name: str
    settings: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class ids; the background first."""
        named = dict.fromkeys(self.settings["values"].values())
        return (BACKGROUND, *(name for name in named if name != BACKGROUND))

    @property
    def about(self) -> Dataset:
        """The entry as a data set of the catalogue."""
        chosen = self.settings
        table = chosen["table"] and "split" in self._table_columns()
        stated = SplitRule(f"as {chosen['table']} states", lambda named: str(named.part))
        return Dataset(
            name=self.name,
            title=chosen["title"] or self.name,
            modality=chosen["modality"],
            channels=chosen["channels"],
            classes=self.classes,
            citation=chosen["citation"],
            licence=chosen["licence"],
            terms="Data of one's own.",
            splits={"table": stated, "groups": GROUPS} if table else {"groups": GROUPS},
            group="group" if chosen["group_pattern"] or chosen["table"] else "image",
            pixel_size=chosen["pixel_size"],
            bits=chosen["bits"],
            left_out_limit=chosen["left_out_limit"],
            allow_empty=chosen["allow_empty"],
        )

    def files(self) -> list[Path]:
        """Every file that belongs to the data set: table, images and masks."""
        if self.settings["table"]:
            rows = self._rows()
            listed = [path for row in rows.values() for path in (row["image"], row["mask"]) if path]
            return [Path(self.settings["table"]), *map(Path, listed)]
        folders = [self._folder(kind) for kind in ("images", "masks")]
        return sorted({folder / file.path for folder in folders for file in _image_files(folder)})

    def find(self, sha256: Mapping[str, str]) -> Found:
        """Every image with its mask, and what lacks a partner. `sha256`: of each file, as recorded.

        Raises DataError for folders, tables or names that cannot be used.
        """
        rows = self._rows()
        pairs, left_out = [], []
        for name, row in rows.items():
            lacking = next((kind for kind in ("image", "mask") if not row[kind]), None)
            if lacking:
                reason = {"image": "a mask without an image", "mask": "no mask"}[lacking]
                left_out.append(LeftOut(name, reason, row["image"] or row["mask"]))
                continue
            image, mask = (self._file(row[kind], sha256) for kind in ("image", "mask"))
            load = functools.partial(self._load, image, mask)
            pairs.append(Pair(name, row["group"] or name, load, row["split"] or None))
        if not pairs:
            raise DataError(f"own_data.{self.name}: no image has a mask; check `images`, `masks` and their suffixes")
        return Found(sorted(pairs, key=lambda pair: pair.name), left_out)

    def _load(self, image_file: File, mask_file: File) -> tuple[Raster, Labels]:
        image: Raster = decoded(image_file, self._decode)
        values, exact = decoded(mask_file, decode_values)
        if values.shape != image.size:
            raise DataError(
                f"{mask_file} is {values.shape[1]}x{values.shape[0]}, its image {image.size[1]}x{image.size[0]}; "
                "expected the same size"
            )
        return image, self._labels(mask_file, values, exact)

    def _decode(self, data: bytes) -> Raster:
        """An image file in the channels and at the depth that are asked for."""
        chosen = self.settings
        image = decode(data)
        if min(image.bits, chosen["bits"]) > 8 and file_format(data[:132]) != "DICOM":
            image = decode(data, chosen["bits"])  # such files do not say how many of their 16 bits are meant
        if chosen["window"]:
            image = image.windowed(*chosen["window"])
        elif image.bits > chosen["bits"]:
            raise DataError(
                f"holds {image.bits} bits; write `bits: {image.bits}` in own_data.{self.name} to keep them, or the "
                "range of stored values to show: `window: [low, high]`"
            )
        if len(image.pixels) == 3 and chosen["channels"] == 1 and (image.pixels != image.pixels[:1]).any():
            raise DataError(f"is a colour image; write `channels: 3` in own_data.{self.name}, or make it gray")
        image = image.with_channels(chosen["channels"]).with_bits(chosen["bits"])
        return dataclasses.replace(image, pixel_size=chosen["pixel_size"] or image.pixel_size)

    def _labels(self, file: File, values: np.ndarray, exact: bool) -> Labels:
        known = np.array(sorted(self.settings["values"]))
        if not exact:  # JPEG: the nearest of the values
            values = known[np.abs(np.arange(256)[:, None] - known).argmin(axis=1)][values]
        unknown = np.setdiff1d(values, known)
        if len(unknown):
            raise DataError(
                f"{file} holds the value {unknown[0]}; expected {', '.join(map(str, known))}. Add it to `values` of "
                f"own_data.{self.name}"
            )
        labels = np.zeros(values.shape, np.uint8)
        for value, title in self.settings["values"].items():
            labels[values == value] = self.classes.index(title)
        return labels

    def _rows(self) -> dict[str, dict[str, str]]:
        """By name of the image: paths of image and mask ("" where there is none), group, split."""
        rows = self._table_rows() if self.settings["table"] else self._folder_rows()
        if pattern := self.settings["group_pattern"]:
            for name, row in rows.items():
                match = re.search(pattern, name)
                if not match:
                    raise DataError(
                        f"own_data.{self.name}: the image {name} does not match group_pattern {pattern!r}; expected a "
                        "pattern that finds the group in every name"
                    )
                row["group"] = match[1]
        return rows

    def _folder_rows(self) -> dict[str, dict[str, str]]:
        rows: dict[str, dict[str, str]] = {}
        for kind, key in (("image", "images"), ("mask", "masks")):
            folder, suffix = self._folder(key), self.settings[f"{kind}_suffix"]
            for file in _image_files(folder):
                name = _without(file.path, suffix)
                if name is None:
                    continue
                row = rows.setdefault(name.replace("/", "_"), {"image": "", "mask": "", "group": "", "split": ""})
                if row[kind]:
                    raise DataError(f"{row[kind]} and {folder / file.path} have the same name; take one of them away")
                row[kind] = str(folder / file.path)
        return dict(sorted(rows.items()))

    def _table_rows(self) -> dict[str, dict[str, str]]:
        path = Path(self.settings["table"])
        group_column = self.settings["group_column"]
        rows: dict[str, dict[str, str]] = {}
        for number, listed in enumerate(_read_table(path), start=2):
            image, mask = (self._listed(path, listed.get(kind) or "", f"{kind}s") for kind in ("image", "mask"))
            name = listed.get("name") or Path(image or mask).stem
            if not name or name in rows:
                found = f"{name} twice" if name else "neither image nor mask"
                raise DataError(
                    f"{path}: line {number}: found {found}; expected one line an image, each of its own name"
                )
            split = listed.get("split") or ""
            if split and split not in SPLITS:
                raise DataError(f"{path}: line {number}: found the split {split!r}; expected {', '.join(SPLITS)}")
            rows[name] = {"image": image, "mask": mask, "group": listed.get(group_column) or "", "split": split}
        return rows

    def _listed(self, table: Path, entry: str, key: str) -> str:
        """A path of the table: relative to the folder `images` or `masks` if one is given, else to the table."""
        if not entry:
            return ""
        path = Path(self.settings[key] or table.parent) / entry
        if not path.is_file():
            raise DataError(f"{table}: names {entry}, but there is no {path}; mend the table or leave the cell empty")
        return str(path)

    def _table_columns(self) -> Sequence[str]:
        with Path(self.settings["table"]).open(newline="", encoding="utf-8-sig") as file:
            return next(csv.reader(file), [])

    def _folder(self, key: str) -> Path:
        folder = Path(self.settings[key] or "").expanduser()
        if not self.settings[key] or not folder.is_dir():
            raise DataError(
                f"own_data.{self.name}: found no folder {self.settings[key] or ''!r}; expected "
                f"`{key}: /path/to/{key}`, or a `table` that lists the files"
            )
        return folder

    def _file(self, path: str, sha256: Mapping[str, str]) -> File:
        if path not in sha256:
            raise DataError(
                f"{path}: is not in data/raw/{self.name}/manifest.json; delete that and run snakemake again"
            )
        return File(Path(path).name, str(Path(path).parent), Path(path).read_bytes, sha256[path])


def _read_table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV table ({error})") from error
    if not {"image", "mask"} <= set(reader.fieldnames or ()):
        raise DataError(
            f"{path}: found the columns {', '.join(reader.fieldnames or ())}; expected image, mask and, if they are "
            "known, a group column and split"
        )
    return rows


def _image_files(folder: Path) -> list[File]:
    return [file for file in list_folder(folder) if file.path.lower().endswith(IMAGE_SUFFIXES)]


def _without(path: str, suffix: str) -> str | None:
    """The name of a file without its suffix ("" is any file ending); None if it does not have it."""
    if not suffix:
        return str(Path(path).with_suffix(""))
    return path[: -len(suffix)] if path.endswith(suffix) else None
