"""Find the files of a user-supplied data set: match the names in its folders, or read a table that lists them.

Every file in the folders is either used or listed with the reason why it is left out.
"""

import csv
import dataclasses
import os.path
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segcert.data.archives import File, list_folder
from segcert.data.dataset import SPLITS
from segcert.data.decode import IMAGE_SUFFIXES, file_format, image_name
from segcert.data.errors import DataError
from segcert.data.pairs import NOT_AN_IMAGE, LeftOut

# Names of the folders in the layouts train|val|test / images|masks and images|masks / train|val|test
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
KIND_FOLDERS = {"images": "image", "image": "image", "masks": "mask", "mask": "mask", "labels": "mask"}
HEADER = 256  # number of bytes from which the format of a file is recognised
NUMBER = r"[_-]?\d+"  # at the end of a mask's name, if an image has several masks with one structure each


@dataclasses.dataclass
class OwnImage:
    """An entry of a user-supplied data set: the paths of an image and its masks, its group and its split.

    Unknown values are "". If an image has several masks, they are combined into one.
    """

    image: str = ""
    masks: list[str] = dataclasses.field(default_factory=list)
    group: str = ""
    split: str = ""


@dataclasses.dataclass
class Listing:
    """The entries of a user-supplied data set, keyed by image name, and the files that belong to no entry."""

    rows: dict[str, OwnImage]
    left_out: list[LeftOut] = dataclasses.field(default_factory=list)


def list_own(name: str, settings: Mapping[str, Any]) -> Listing:
    """List the files of a user-supplied data set. Raises DataError for unusable folders, tables or names."""
    listing = _in_table(name, settings) if settings["table"] else _in_folders(name, settings)
    if pattern := settings["group_pattern"]:
        for image, row in listing.rows.items():
            match = re.search(pattern, image)
            if not match or not match[1]:
                raise DataError(
                    f"own_data.{name}: the image {image} does not match `group_pattern: {pattern}`; expected a pattern "
                    "that matches every name and captures the group"
                )
            row.group = match[1]
    listing.rows = dict(sorted(listing.rows.items()))
    return listing


def is_split_by_folders(settings: Mapping[str, Any]) -> bool:
    """Return True if images and masks are in one folder, which is divided into train, val and test."""
    images, masks = settings["images"], settings["masks"]
    return not settings["table"] and not settings["mask_suffix"] and bool(images) and images == masks


def _in_folders(name: str, settings: Mapping[str, Any]) -> Listing:
    """Match the files in a data set's folders: first collect the images, then assign the masks to them by name."""
    for key in ("images", "masks"):
        if not settings[key] or not Path(settings[key]).expanduser().is_dir():
            raise DataError(
                f"own_data.{name}.{key}: found {settings[key] or ''!r}, which is not a folder; expected "
                f"`{key}: /path/to/{key}` or a `table` that lists the files"
            )
    listing = Listing({})
    masks: list[tuple[str, File]] = []
    names: dict[str, str] = {}
    for kind, image, split, file in _files_by_kind(name, settings):
        if not image:
            listing.left_out.append(LeftOut(file.path, kind, _path(file)))
        elif kind == "mask":
            masks.append((image, file))
        else:
            # macOS file systems store an accent as a separate character (NFD), others store one character (NFC).
            key = unicodedata.normalize("NFC", image)
            names[key] = image
            row = listing.rows.setdefault(key, OwnImage(split=split))
            if row.image:
                raise DataError(f"{row.image} and {_path(file)} have the same name, {image}; rename one of them")
            row.image = _path(file)
    for mask, file in masks:
        key = _image_of(unicodedata.normalize("NFC", mask), listing.rows)
        listing.rows.setdefault(key, OwnImage()).masks.append(_path(file))
    listing.rows = {names.get(key, key): row for key, row in listing.rows.items()}
    return listing


def _path(file: File) -> str:
    return os.path.join(file.source, file.path)


def _image_of(mask: str, rows: Mapping[str, OwnImage]) -> str:
    """Return the name of the image that a mask belongs to: the mask's name, with or without its final number."""
    if mask in rows and rows[mask].image:
        return mask
    match = re.fullmatch(rf"(.+?){NUMBER}", mask)
    return match[1] if match and match[1] in rows and rows[match[1]].image else mask


def _files_by_kind(name: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, str, str, File]]:
    """Yield (kind, name of the image, split, file) for each file; the kind is "image" or "mask".

    For a file that is left out, yield (reason, "", "", file).
    """
    folders = {key: Path(settings[key]).expanduser() for key in ("images", "masks")}
    if is_split_by_folders(settings):
        for file in list_folder(folders["images"]):
            parts = file.path.split("/")
            kinds = [KIND_FOLDERS[part.lower()] for part in parts[:-1] if part.lower() in KIND_FOLDERS]
            splits = [SPLIT_FOLDERS[part.lower()] for part in parts[:-1] if part.lower() in SPLIT_FOLDERS]
            rest = [part for part in parts[:-1] if part.lower() not in {**KIND_FOLDERS, **SPLIT_FOLDERS}]
            image, reason = _name(file, "/".join([*rest, parts[-1]]), "")
            if not image:
                yield reason, "", "", file
                continue
            if len(kinds) != 1 or len(splits) != 1:
                raise DataError(
                    f"own_data.{name}: images and masks are in the same folder, but {file.path} is not in a "
                    "subfolder such as train/images or train/masks. Use such subfolders of train, val and test, or set "
                    "a `mask_suffix` that distinguishes masks from images, for example `mask_suffix: _mask.png`"
                )
            yield kinds[0], image, splits[0], file
        return
    together = folders["images"].resolve() == folders["masks"].resolve()
    for kind, folder in (("image", folders["images"]), ("mask", folders["masks"])):
        for file in list_folder(folder):
            is_mask = together and bool(_without_suffix(file.path, settings["mask_suffix"]))
            if together and is_mask != (kind == "mask"):
                continue  # the file is listed with the other kind
            image, reason = _name(file, file.path, settings[f"{kind}_suffix"])
            yield (kind, image, "", file) if image else (reason, "", "", file)


def _name(file: File, path: str, suffix: str) -> tuple[str, str]:
    """Derive an image's name from the path of its image file or mask file.

    Return (name, ""), or ("", reason) if the file is left out.
    """
    known_ending = path.lower().endswith(IMAGE_SUFFIXES)
    if not known_ending and not file_format(_header(file)):
        return "", NOT_AN_IMAGE
    if suffix:
        name = _without_suffix(path, suffix)
        if not name:
            return "", f"its name does not end with {suffix}"
    else:
        name = os.path.join(os.path.dirname(path), image_name(path))
    return name.replace("/", "_"), ""


def _header(file: File) -> bytes:
    """Return the first bytes of a file. Planning a run examines every file, so it must not read them completely."""

    def load() -> bytes:
        with open(_path(file), "rb") as stream:
            return stream.read(HEADER)

    return dataclasses.replace(file, load=load).read()


def _without_suffix(path: str, suffix: str) -> str:
    """Remove a suffix such as _mask.png from a path: a_mask_2.png becomes a_2. Return "" if the suffix is missing."""
    stem, ending = os.path.splitext(suffix)
    match = re.fullmatch(rf"(.+){re.escape(stem)}({NUMBER})?{re.escape(ending)}", path)
    return "" if match is None else match[1] + (match[2] or "")


def _in_table(name: str, settings: Mapping[str, Any]) -> Listing:
    table = Path(settings["table"]).expanduser()
    columns, lines = read_table(settings)
    group_column = settings["group_column"] or "group"
    if not {"image", "mask"} <= set(columns) or (settings["group_column"] and group_column not in columns):
        wanted = f"image, mask, {group_column}" if settings["group_column"] else "image, mask"
        raise DataError(f"{table}: found the columns {', '.join(columns)}; expected {wanted}")
    rows: dict[str, OwnImage] = {}
    for number, line in enumerate(lines, start=2):
        row = OwnImage(group=line.get(group_column, ""), split=line.get("split", ""))
        for kind in filter(line.get, ("image", "mask")):  # relative to `images` or `masks` if set, else to the table
            path = Path(settings[f"{kind}s"] or table.parent).expanduser() / line[kind]
            if not path.is_file():
                raise DataError(
                    f"{table}: line {number}: lists {line[kind]}, but {path} does not exist. Correct the table or "
                    "leave the cell empty"
                )
            if kind == "image":
                row.image = str(path)
            else:
                row.masks = [str(path)]
        image = line.get("name") or image_name(row.image or "".join(row.masks))
        if not image:
            raise DataError(f"{table}: line {number}: found neither an image nor a mask; expected at least one of them")
        if image in rows:
            raise DataError(
                f"{table}: line {number}: found the name {image} twice; expected a different name for each image. Add "
                "a column `name`"
            )
        if group_column in columns and not row.group:
            raise DataError(
                f"{table}: line {number}: the column `{group_column}` is empty; expected the group of {image}"
            )
        if row.split not in ("", *SPLITS):
            raise DataError(f"{table}: line {number}: found the split {row.split!r}; expected {', '.join(SPLITS)}")
        rows[image] = row
    return Listing(rows)


def read_table(settings: Mapping[str, Any]) -> tuple[list[str], list[dict[str, str]]]:
    """Read the table of a user-supplied data set. Return its column names, and one dict per line, by column name."""
    path = Path(settings["table"]).expanduser()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            lines = [{key: value.strip() for key, value in line.items() if key} for line in reader]
            return list(reader.fieldnames or ()), lines
    except FileNotFoundError as error:
        raise DataError(
            f"{path}: there is no such file; expected a CSV table with the columns `image` and `mask`. Give its path "
            "relative to the folder in which you run snakemake, for example `table: path/to/table.csv`"
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: cannot be read as a CSV table ({error}); save it as comma-separated UTF-8 text"
        ) from error
