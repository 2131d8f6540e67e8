"""Which files of one's own belong together: by their names in folders, or as a table lists them."""

import csv
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segcert.data.archives import list_folder
from segcert.data.decoding import IMAGE_SUFFIXES
from segcert.data.errors import DataError
from segcert.data.index import SPLITS


@dataclasses.dataclass
class Listed:
    """An image of one's own: paths of image and mask ("" where there is none), group and split (where it is known)."""

    image: str = ""
    mask: str = ""
    group: str = ""
    split: str = ""


def list_own(name: str, settings: Mapping[str, Any]) -> dict[str, Listed]:
    """The images of an entry of `own_data`, by name. Raises DataError for folders and tables that cannot be used."""
    rows = _in_table(name, settings) if settings["table"] else _in_folders(name, settings)
    if pattern := settings["group_pattern"]:
        for image, row in rows.items():
            match = re.search(pattern, image)
            if not match or not match[1]:
                raise DataError(
                    f"own_data.{name}: the image {image} does not match `group_pattern: {pattern}`; expected a pattern "
                    "that finds the group in every name"
                )
            row.group = match[1]
    return dict(sorted(rows.items()))


def has_groups(settings: Mapping[str, Any]) -> bool:
    """Whether the settings say which patient an image belongs to."""
    return bool(settings["group_pattern"]) or bool(
        settings["table"] and (settings["group_column"] or "group") in _read_table(settings)[0]
    )


def has_splits(settings: Mapping[str, Any]) -> bool:
    """Whether a table says which split an image belongs to."""
    return bool(settings["table"]) and "split" in _read_table(settings)[0]


def _in_folders(name: str, settings: Mapping[str, Any]) -> dict[str, Listed]:
    rows: dict[str, Listed] = {}
    folders = {key: _folder(name, settings, key) for key in ("images", "masks")}
    together = folders["images"].resolve() == folders["masks"].resolve()
    if together and not settings["mask_suffix"]:
        raise DataError(
            f"own_data.{name}: images and masks lie in the same folder; expected a `mask_suffix` that tells them apart"
        )
    for kind, folder in (("image", folders["images"]), ("mask", folders["masks"])):
        for file in list_folder(folder):
            image = _without(file.path, settings[f"{kind}_suffix"])
            is_mask = together and file.path.endswith(settings["mask_suffix"])
            if image is None or (kind == "image" and is_mask) or not file.path.lower().endswith(IMAGE_SUFFIXES):
                continue
            row = rows.setdefault(image.replace("/", "_"), Listed())
            if there := getattr(row, kind):
                raise DataError(f"{there} and {folder / file.path} have the same name; take one of them away")
            setattr(row, kind, str(folder / file.path))
    return rows


def _in_table(name: str, settings: Mapping[str, Any]) -> dict[str, Listed]:
    table = Path(settings["table"]).expanduser()
    columns, lines = _read_table(settings)
    group_column = settings["group_column"] or "group"
    if not {"image", "mask"} <= set(columns) or (settings["group_column"] and group_column not in columns):
        wanted = ["image", "mask", *[group_column] * bool(settings["group_column"])]
        raise DataError(f"{table}: found the columns {', '.join(columns)}; expected {', '.join(wanted)}")
    rows: dict[str, Listed] = {}
    for number, line in enumerate(lines, start=2):
        files = [_path(settings, table, number, line[kind], f"{kind}s") for kind in ("image", "mask")]
        image = line.get("name") or Path(files[0] or files[1]).stem
        row = Listed(files[0], files[1], line.get(group_column, ""), line.get("split", ""))
        if not image or image in rows:
            found = f"{image} twice" if image else "neither image nor mask"
            raise DataError(f"{table}: line {number}: found {found}; expected a line an image, each of its own name")
        if group_column in columns and not row.group:
            raise DataError(
                f"{table}: line {number}: the column {group_column} is empty; expected the group of {image}"
            )
        if row.split not in ("", *SPLITS):
            raise DataError(f"{table}: line {number}: found the split {row.split!r}; expected {', '.join(SPLITS)}")
        rows[image] = row
    return rows


def _path(settings: Mapping[str, Any], table: Path, number: int, entry: str, key: str) -> str:
    """A file of the table: relative to the folder `images` or `masks` if one is given, else to the table."""
    if not entry:
        return ""
    path = Path(settings[key] or table.parent).expanduser() / entry
    if not path.is_file():
        raise DataError(
            f"{table}: line {number}: names {entry}, but there is no {path}; mend the table or leave the cell empty"
        )
    return str(path)


def _read_table(settings: Mapping[str, Any]) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and lines of the table."""
    path = Path(settings["table"]).expanduser()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            lines = [{key: value.strip() for key, value in line.items() if key} for line in reader]
            return list(reader.fieldnames or ()), lines
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV table ({error}); write it as UTF-8, with commas") from error


def _folder(name: str, settings: Mapping[str, Any], key: str) -> Path:
    folder = Path(settings[key] or "").expanduser()
    if not settings[key] or not folder.is_dir():
        raise DataError(
            f"own_data.{name}: found no folder {settings[key] or ''!r}; expected `{key}: /path/to/{key}`, or a `table` "
            "that lists the files"
        )
    return folder


def _without(path: str, suffix: str) -> str | None:
    """The name of a file without its suffix ("" is any file ending); None if it does not have it."""
    if not suffix:
        return str(Path(path).with_suffix(""))
    return path[: -len(suffix)] if path.endswith(suffix) else None
