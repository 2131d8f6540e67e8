"""Official releases: where images and masks lie, as patterns, and one reader for all of them."""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from segcert.data.archives import File, ends_with
from segcert.data.catalogue import Dataset
from segcert.data.decode import decode, decode_binary
from segcert.data.errors import DataError
from segcert.data.pairs import Found, LeftOut, Pair
from segcert.data.raster import Labels, Raster


@dataclasses.dataclass(frozen=True)
class Layout:
    r"""Where the files of a release lie. Patterns match the end of a path, whatever folders stand before it.

    Attributes
    ----------
    images
        Pattern of an image, with the group `name`; `group` and `part` where the path says them.
    masks
        For each class, in painting order (a later class lies over an earlier one), patterns of its masks with the group
        `name`, and `part` where the path says it. All masks that a pattern finds for an image are joined.
    decode
        From the bytes of an image file to a raster.
    mask_scale
        How many times as high and wide as its mask an image is.
    name, group_of
        How the name in the path becomes that of the image, and the name that of the group.
    """

    images: str
    masks: Mapping[str, Sequence[str]]
    decode: Callable[[bytes], Raster] = decode
    mask_scale: int = 1
    name: Callable[[str], str] = str
    group_of: Callable[[str], str] = str

    def find(self, files: Sequence[File], about: Dataset) -> Found:
        """Every image with all of its masks, and what lacks a partner; other files are passed over.

        Raises DataError when there are no images, or two files have the same name.
        """
        images: dict[str, tuple[File, re.Match[str]]] = {}
        masks: dict[tuple[str, str], tuple[File, re.Match[str]]] = {}
        patterns = [pattern for of_class in self.masks.values() for pattern in of_class]
        for file in files:
            if match := ends_with(self.images, file.path):
                _put(images, self.name(match["name"]), file, match)
            for pattern in patterns:
                if match := ends_with(pattern, file.path):
                    _put(masks, (self.name(match["name"]), pattern), file, match)
        if not images:
            raise DataError(
                f"{about.title}: none of {len(files)} files is an image (.../{self.images}): is it the official one?"
            )
        pairs, left_out = [], []
        for name, (file, match) in images.items():
            lacking = [title for title in self.masks if any((name, each) not in masks for each in self.masks[title])]
            if lacking:
                left_out.append(LeftOut(name, f"no mask of the {lacking[0]}", str(file)))
                continue
            of_image = {title: [masks[name, each] for each in self.masks[title]] for title in self.masks}
            matches = [match, *(found for of_class in of_image.values() for _, found in of_class)]
            parts = [found.groupdict().get("part") for found in matches]
            mask_files = {title: [mask for mask, _ in found] for title, found in of_image.items()}
            load = functools.partial(self._load, about, file, mask_files)
            group = match.groupdict().get("group") or self.group_of(name)
            pairs.append(Pair(name, group, load, next(filter(None, parts), None)))
        alone = {name: file for (name, _), (file, _) in masks.items() if name not in images}
        left_out += [LeftOut(name, "a mask without an image", str(file)) for name, file in alone.items()]
        return Found(sorted(pairs, key=lambda pair: pair.name), left_out)

    def _load(self, about: Dataset, file: File, masks: Mapping[str, Sequence[File]]) -> tuple[Raster, Labels]:
        image = decoded(file, self.decode)
        image = image.gray() if about.channels == 1 else image.with_channels(about.channels)
        height, width = (length // self.mask_scale for length in image.size)
        labels = np.zeros((height, width), np.uint8)
        for title, mask_files in masks.items():
            for mask_file in mask_files:
                mask = decoded(mask_file, decode_binary)
                if mask.shape != labels.shape:
                    raise DataError(
                        f"{mask_file} is {mask.shape[1]}x{mask.shape[0]}, expected {width}x{height} for its image of "
                        f"{image.size[1]}x{image.size[0]}"
                    )
                labels[mask] = about.classes.index(title)
        if image.size in about.native_sizes:
            image = dataclasses.replace(image, pixel_size=about.pixel_size)
        return image.with_bits(about.bits), labels


def decoded(file: File, decode_with: Callable[[bytes], Any]) -> Any:
    """What a decoder makes of a file. Raises DataError, naming the file."""
    data = file.read()
    try:
        return decode_with(data)
    except DataError as error:
        raise DataError(f"{file} {error}") from error


def _put(found: dict[Any, tuple[File, re.Match[str]]], key: Any, file: File, match: re.Match[str]) -> None:
    if key in found:
        raise DataError(f"{found[key][0]} and {file} have the same name; take one of them away")
    found[key] = (file, match)
