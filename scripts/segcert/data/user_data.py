"""User-supplied data: data sets (`kind: folder`), and single images to certify."""

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segcert.data.archives import File
from segcert.data.catalogue import Dataset, ImageKey, SplitRule
from segcert.data.decode import DepthError, decode, decode_at_depth, file_format, orientation_of
from segcert.data.errors import DataError
from segcert.data.identifiers import withheld
from segcert.data.lossy import JPEG, JPEG_SUFFIXES
from segcert.data.masks import OrientationError, class_ids, read_mask, turn_like_image
from segcert.data.pairs import LeftOut, Pair, SearchResult
from segcert.data.raster import Labels, Raster
from segcert.data.release import decoded
from segcert.data.splits import GROUPS
from segcert.data.user_files import is_split_by_folders, list_own, read_table
from segcert.io.progress import log

OTHER_FORMATS = (JPEG, b"GIF8", b"BM")  # the first bytes of formats that `file_format` does not identify


def read_own_image(
    path: str | Path,
    bits: int | None = None,
    window: tuple[float, float] | None = None,
    frame: int | None = None,
    trained_bits: int = 8,
) -> Raster:
    """Read an image from a PNG, JPEG, TIFF, GIF, BMP or DICOM file.

    See segcert.data.decode.decode for `bits`, `window` and `frame`. `trained_bits` is the bit depth of a network's
    training images. If `bits` is None, this depth is assumed for a 16-bit file that does not state its depth.

    If the file cannot be read or has a different format, raises a DataError that names it.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    data = path.read_bytes()
    if not data:
        raise DataError(f"{path}: is empty; get a new copy of the file")
    if not file_format(data) and not data.startswith(OTHER_FORMATS):
        raise DataError(f"{path}: is not a PNG, JPEG, TIFF, GIF, BMP or DICOM file; convert it to PNG")
    try:
        if bits is not None:
            return decode(data, bits, window, frame)
        return decode_at_depth(data, trained_bits, window, frame)
    except DataError as error:
        raise DataError(withheld(f"{path}: {error}", data)) from error


BACKGROUND = "background"
NOT_IN_PATHS = {
    "a brace, which Snakemake reads as a wildcard,": "[{}]",
    "a name in angle brackets, which Snakemake reads as a variable,": "<[^>]*>",
    "a line break or other control character": r"[\0-\x1f\x7f]",
    "bytes that are not UTF-8": r"[\ud800-\udfff]",
}
# Keys that have the same meaning in `own_data` and in the catalogue
TEXT_KEYS = ["modality", "licence", "citation"]
IMAGE_KEYS = ["channels", "bits", "window", "pixel_size", "any_orientation", "allow_empty", "left_out_limit"]


@dataclasses.dataclass(frozen=True)
class OwnFolder:
    """A user-supplied data set: its name, and its settings under `own_data` in the configuration."""

    name: str
    settings: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their ids, background first."""
        named = dict.fromkeys(self.settings["values"].values())
        return (BACKGROUND, *(name for name in named if name != BACKGROUND))

    @property
    def about(self) -> Dataset:
        """The data set's catalogue entry. Raises DataError if the table that lists the images cannot be read."""
        chosen = self.settings
        columns = read_table(chosen)[0] if chosen["table"] else []
        grouped = bool(chosen["group_pattern"]) or (chosen["group_column"] or "group") in columns
        splits = {"groups": GROUPS}
        if "split" in columns:  # the first rule is the default
            splits = {"table": SplitRule("as the table states", lambda key: key.part or ""), **splits}
        elif is_split_by_folders(chosen):
            splits = {"folders": SplitRule("as the folders state", lambda key: key.part or ""), **splits}
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
        """List the paths of the table, the images and the masks. Raises DataError for unusable files or paths."""
        listed: list[str] = []
        for row in list_own(self.name, self.settings).rows.values():
            listed += [*([row.image] if row.image else []), *row.masks]
        table = self.settings["table"]
        files = sorted({*map(Path, listed), *([Path(table).expanduser()] if table else [])})
        for path in map(str, files):
            if found := next((kind for kind, pattern in NOT_IN_PATHS.items() if re.search(pattern, path)), None):
                raise DataError(f"{path!r}: found {found} in the path; rename the file or its folder")
        return files

    def is_lossy(self) -> bool:
        """Return True if the name of at least one image file has the suffix of a JPEG file."""
        rows = list_own(self.name, self.settings).rows.values()
        return any(row.image.lower().endswith(JPEG_SUFFIXES) for row in rows)

    def tests(self, rule: SplitRule) -> int:
        """Return the number of images that a split rule assigns to the test split."""
        rows = list_own(self.name, self.settings).rows.items()
        keys = (ImageKey(self.name, name, row.group or name, row.split or None) for name, row in rows if row.image)
        return sum(rule.split_of(key) == "test" for key in keys)

    def find(self, sha256: Mapping[str, str]) -> SearchResult:
        """Find all image-mask pairs, and the images and masks without a counterpart.

        `sha256` maps the path of each file to its recorded SHA-256. Raises DataError for unusable folders, tables or
        names.
        """
        listing = list_own(self.name, self.settings)
        pairs, left_out = [], list(listing.left_out)
        for name, row in listing.rows.items():
            if not row.image or not row.masks:
                reason = "no mask" if row.image else "a mask without an image"
                left_out.append(LeftOut(name, reason, row.image or row.masks[0]))
                continue
            masks = [self._file(path, sha256) for path in row.masks]
            load = functools.partial(self._load, self._file(row.image, sha256), masks)
            pairs.append(Pair(name, row.group or name, load, row.split or None))
        named = [name for name, row in listing.rows.items() if row.image and withheld(name, Path(row.image)) != name]
        if named:
            log.warning(
                "own_data.%s: %d images have names that contain identifiers from the headers of their DICOM files, "
                "such as the patient's name. Names of images appear in tables, pages and file names. To choose other "
                "names, list the files in a `table` with a column `name`",
                self.name,
                len(named),
            )
        if not pairs:
            raise DataError(
                f"own_data.{self.name}: found no image with a mask; check the keys `images`, `masks`, `image_suffix` "
                "and `mask_suffix`"
            )
        return SearchResult(pairs, left_out)

    def _load(self, image_file: File, mask_files: Sequence[File]) -> tuple[Raster, Labels]:
        image, orientation = decoded(image_file, lambda data: (self._image(data), orientation_of(data)))
        joined = np.zeros(image.size, np.uint8)
        for mask_file in mask_files:
            labels: Labels = decoded(mask_file, functools.partial(self._labels, image.size, orientation))
            if labels.shape != image.size:
                raise DataError(
                    f"{mask_file}: the mask is {labels.shape[1]}x{labels.shape[0]} pixels, but its image is "
                    f"{image.size[1]}x{image.size[0]}; expected the same size"
                )
            joined = np.where(labels > 0, labels, joined)
        return image, joined

    def _image(self, data: bytes) -> Raster:
        """Decode an image file to the configured number of channels and bit depth."""
        chosen = self.settings
        try:
            image = decode_at_depth(data, chosen["bits"], chosen["window"])
        except DepthError as error:
            raise DataError(
                f"the file has 16 bits per value but does not state how many of them are used; write `bits: 12` (or "
                f"the actual number) in own_data.{self.name}, or choose a range of stored values with "
                "`window: [low, high]`"
            ) from error
        if image.bits > chosen["bits"] and not chosen["window"]:
            raise DataError(
                f"the file has {image.bits} bits per value; write `bits: {image.bits}` in own_data.{self.name} to "
                "keep all bits, or choose a range of stored values with `window: [low, high]`"
            )
        try:
            image = image.with_channels(chosen["channels"])
        except DataError as error:
            raise DataError(
                f"{error}; write `channels: 3` in own_data.{self.name}, or convert the image to gray"
            ) from error
        image = image.with_bits(chosen["bits"])
        return image.with_pixel_size(chosen["pixel_size"])

    def _labels(self, size: tuple[int, int], image_orientation: int, data: bytes) -> Labels:
        """Decode a mask file to class ids, and turn them so that they fit the upright image."""
        chosen = self.settings
        try:
            labels = class_ids(read_mask(data), chosen["values"], self.classes, chosen["mask_threshold"])
            return turn_like_image(labels, orientation_of(data), size, image_orientation, chosen["mask_orientation"])
        except OrientationError as error:
            raise DataError(
                f"{error}; write `mask_orientation: displayed` or `mask_orientation: stored` in own_data.{self.name}"
            ) from error
        except DataError as error:
            raise DataError(f"{error} (in own_data.{self.name})") from error

    def _file(self, path: str, sha256: Mapping[str, str]) -> File:
        if path not in sha256:
            manifest = f"data/raw/{self.name}/manifest.json"
            raise DataError(f"{path}: not listed in {manifest}; delete the manifest and run snakemake again")
        return File(Path(path).name, str(Path(path).parent), Path(path).read_bytes, sha256[path])
