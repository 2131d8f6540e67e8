"""Read the official releases of data sets. Each release has a layout, which contains path patterns for its files."""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from segcert.data.archives import File, ends_with
from segcert.data.catalogue import Dataset
from segcert.data.decode import decode_at_depth, decode_binary, orientation_of
from segcert.data.errors import DataError
from segcert.data.identifiers import withheld
from segcert.data.masks import turn_like_image
from segcert.data.orientation import UPRIGHT
from segcert.data.pairs import LeftOut, Pair, SearchResult
from segcert.data.raster import Labels, Raster


@dataclasses.dataclass(frozen=True)
class Layout:
    r"""Path patterns for the files in a release. A pattern must match the last components of a path.

    Attributes
    ----------
    images
        Pattern for image paths. It contains the regex group `name`, and may contain `group` and `part`.
    masks
        Dict that maps each class to the patterns for its mask paths. Each pattern contains the regex group `name` and
        may contain `part`. All masks of one class are combined. Later classes are painted over earlier ones.
    decode
        Function that converts the bytes of an image file to a Raster. None means segcert.data.decode.decode_at_depth.
    mask_scale
        Ratio of the height and width of an image to the height and width of its mask.
    name
        Function that converts the regex group `name` to the name of the image.
    group_of
        Function that converts an image's name to the name of its group. It is used if `images` has no regex group
        `group`.
    """

    images: str
    masks: Mapping[str, Sequence[str]]
    decode: Callable[[bytes], Raster] | None = None
    mask_scale: int = 1
    name: Callable[[str], str] = str
    group_of: Callable[[str], str] = str

    def find(self, files: Sequence[File], about: Dataset) -> SearchResult:
        """Find the images that have all of their masks, and the images and masks without a counterpart.

        Other files are skipped.

        Raises DataError if there are no images, or if two files have the same name.
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
                f"{about.title}: none of the {len(files)} files matches the image pattern .../{self.images}. Check "
                "that the files are the official release"
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
        return SearchResult(sorted(pairs, key=lambda pair: pair.name), left_out)

    def _load(self, about: Dataset, file: File, masks: Mapping[str, Sequence[File]]) -> tuple[Raster, Labels]:
        image, orientation = decoded(file, functools.partial(self._image, about.file_bits or 8))
        image = image.gray() if about.channels == 1 else image.with_channels(about.channels)
        height, width = (length // self.mask_scale for length in image.size)
        labels = np.zeros((height, width), np.uint8)
        for title, mask_files in masks.items():
            for mask_file in mask_files:
                mask = decoded(mask_file, functools.partial(_upright_mask, labels.shape, orientation))
                if mask.shape != labels.shape:
                    raise DataError(
                        f"{mask_file}: the mask is {mask.shape[1]}x{mask.shape[0]} pixels; expected {width}x{height} "
                        f"for an image of {image.size[1]}x{image.size[0]}"
                    )
                labels[mask] = about.classes.index(title)
        if image.size in about.native_sizes:
            image = dataclasses.replace(image, pixel_size=about.pixel_size, length_unit=about.length_unit)
        return image.with_bits(about.bits), labels

    def _image(self, bits: int, data: bytes) -> tuple[Raster, int]:
        """Decode an image file. Return the image and its orientation tag."""
        if self.decode:
            return self.decode(data), UPRIGHT
        return decode_at_depth(data, bits), orientation_of(data)


def decoded(file: File, decode_with: Callable[[bytes], Any]) -> Any:
    """Read a file and decode it. If either step fails, raises a DataError that names the file."""
    data = file.read()
    try:
        return decode_with(data)
    except DataError as error:
        raise DataError(withheld(f"{file}: {error}", data)) from error


def _upright_mask(size: tuple[int, int], image_orientation: int, data: bytes) -> npt.NDArray[np.bool_]:
    return turn_like_image(decode_binary(data), orientation_of(data), size, image_orientation)


def _put(found: dict[Any, tuple[File, re.Match[str]]], key: Any, file: File, match: re.Match[str]) -> None:
    if key in found:
        raise DataError(f"{found[key][0]} and {file} have the same name; remove one of them")
    found[key] = (file, match)
