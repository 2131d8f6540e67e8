"""A data set of one's own (`kind: folder`): what its files mean."""

import dataclasses
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segcert.data.archives import File
from segcert.data.catalogue import Dataset, Named, SplitRule
from segcert.data.decoding import decode, decode_values, file_format
from segcert.data.errors import DataError
from segcert.data.images import Labels, Raster
from segcert.data.layout import decoded
from segcert.data.own_listing import has_groups, has_splits, list_own
from segcert.data.pairs import Found, LeftOut, Pair
from segcert.data.splits import GROUPS

BACKGROUND = "background"
NOT_IN_PATHS = {
    "a brace, which Snakemake takes for a wildcard,": "[{}]",
    "a name in angle brackets, which Snakemake takes for a variable,": "<[^>]*>",
    "a line end or other control character": r"[\0-\x1f\x7f]",
    "bytes that are no UTF-8": r"[\ud800-\udfff]",
}
JPEG_GAP = 32  # values closer to each other than this cannot be told apart after JPEG


@dataclasses.dataclass(frozen=True)
class OwnFolder:
    """A data set by its name and the keys of its entry of `own_data` in the configuration."""

    name: str
    settings: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class ids; the background first."""
        named = dict.fromkeys(self.settings["values"].values())
        return (BACKGROUND, *(name for name in named if name != BACKGROUND))

    @property
    def about(self) -> Dataset:
        """The entry as a data set of the catalogue. Raises DataError for a table that cannot be read."""
        chosen = self.settings
        table = {"table": SplitRule("as the table states", lambda named: named.part or "")}
        return Dataset(
            name=self.name,
            title=chosen["title"] or self.name,
            modality=chosen["modality"],
            channels=chosen["channels"],
            classes=self.classes,
            citation=chosen["citation"],
            licence=chosen["licence"],
            terms="Data of one's own.",
            splits=(table if has_splits(chosen) else {}) | {"groups": GROUPS},
            group="group" if has_groups(chosen) else "image",
            pixel_size=chosen["pixel_size"],
            bits=chosen["bits"],
            left_out_limit=chosen["left_out_limit"],
            allow_empty=chosen["allow_empty"],
            any_orientation=chosen["any_orientation"],
        )

    def files(self) -> list[Path]:
        """Every file that belongs to the data set: table, images and masks. Raises DataError."""
        listed = [path for row in list_own(self.name, self.settings).values() for path in (row.image, row.mask) if path]
        table = self.settings["table"]
        files = sorted({*map(Path, listed), *([Path(table).expanduser()] if table else [])})
        for path in map(str, files):
            if found := next((kind for kind, pattern in NOT_IN_PATHS.items() if re.search(pattern, path)), None):
                raise DataError(f"{path!r}: found {found} in the path; rename the file or its folder")
        return files

    def tests(self, rule: SplitRule) -> int:
        """How many of its images a rule tests."""
        rows = list_own(self.name, self.settings).items()
        named = (Named(self.name, name, row.group or name, row.split or None) for name, row in rows if row.image)
        return sum(rule.split_of(each) == "test" for each in named)

    def find(self, sha256: Mapping[str, str]) -> Found:
        """Every image with its mask, and what lacks a partner. `sha256`: of each file, as recorded.

        Raises DataError for folders, tables or names that cannot be used.
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
            raise DataError(f"own_data.{self.name}: no image has a mask; check `images`, `masks` and their suffixes")
        return Found(pairs, left_out)

    def _load(self, image_file: File, mask_file: File) -> tuple[Raster, Labels]:
        image: Raster = decoded(image_file, self._image)
        labels: Labels = decoded(mask_file, self._labels)
        if labels.shape != image.size:
            raise DataError(
                f"{mask_file} is {labels.shape[1]}x{labels.shape[0]}, its image {image.size[1]}x{image.size[0]}; "
                "expected the same size"
            )
        return image, labels

    def _image(self, data: bytes) -> Raster:
        """An image file in the channels and at the depth that are asked for."""
        chosen = self.settings
        image = decode(data, window=chosen["window"])
        if not chosen["window"] and min(image.bits, chosen["bits"]) > 8 and file_format(data) != "DICOM":
            image = decode(data, chosen["bits"])  # such files do not say how many of their 16 bits are meant
        if image.bits > chosen["bits"] and not chosen["window"]:
            raise DataError(
                f"holds {image.bits} bits; write `bits: {image.bits}` in own_data.{self.name} to keep them, or the "
                "range of stored values to show: `window: [low, high]`"
            )
        if chosen["channels"] == 1 and (image.pixels != image.pixels[:1]).any():
            raise DataError(f"is a colour image; write `channels: 3` in own_data.{self.name}, or make it gray")
        image = image.with_channels(chosen["channels"]).with_bits(chosen["bits"])
        return dataclasses.replace(image, pixel_size=chosen["pixel_size"] or image.pixel_size)

    def _labels(self, data: bytes) -> Labels:
        """The class ids of a mask file."""
        found, exact = decode_values(data)
        known = np.array(sorted(self.settings["values"]))
        values = found if exact else _nearest(found, known)
        if len(unknown := np.setdiff1d(values, known)):
            raise DataError(
                f"holds the value {unknown[0]}; expected {', '.join(map(str, known))}. Add it to `values` of "
                f"own_data.{self.name}"
            )
        labels = np.zeros(values.shape, np.uint8)
        for value, title in self.settings["values"].items():
            labels[values == value] = self.classes.index(title)
        return labels

    def _file(self, path: str, sha256: Mapping[str, str]) -> File:
        if path not in sha256:
            manifest = f"data/raw/{self.name}/manifest.json"
            raise DataError(f"{path}: is not in {manifest}; delete that and run snakemake again")
        return File(Path(path).name, str(Path(path).parent), Path(path).read_bytes, sha256[path])


def _nearest(values: npt.NDArray[np.uint16], known: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Of each of the values of a JPEG file, the nearest of those that are known."""
    if np.diff(known).min() < JPEG_GAP:
        raise DataError(
            f"is a JPEG file, which does not keep values as close as {', '.join(map(str, known))}; write masks as PNG"
        )
    return np.asarray(known[np.abs(np.arange(256)[:, None] - known).argmin(axis=1)][values])
