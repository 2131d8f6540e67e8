"""Write a data set to data/prepared/<dataset>/ in the common format: images, masks, index.csv and JSON files."""

import collections
import concurrent.futures
import csv
import dataclasses
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from segcert.data.catalogue import Dataset, ImageKey, SplitRule
from segcert.data.dataset import SPLITS, Row, check_groups, digests_of, write_index
from segcert.data.errors import DataError
from segcert.data.lossy import is_lossy
from segcert.data.pairs import NOT_AN_IMAGE, LeftOut, Pair, SearchResult
from segcert.data.raster import pad_to_square, resize_mask, write_png
from segcert.data.splits import rule_of
from segcert.io.atomic import atomic_folder
from segcert.io.progress import log, track
from segcert.provenance.digests import array_digest, file_digest

LOSSY, NEARLY_GRAY = "compressed with loss", "nearly gray"
SHOWN = 10  # maximum number of lines in a list of problems
NAME = re.compile(r"(?!\.)[^/\\\0-\x1f\x7f\ud800-\udfff]+")  # image names, used in file names and in the index
GROUP = re.compile(r"[^\0-\x1f\x7f\ud800-\udfff]+")  # group names, used in the index
LONGEST = 200  # bytes in a name; file systems allow 255, but suffixes and temporary file names need some
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Form:
    """Format of prepared images, which are squares of `image_size` pixels a side.

    Images are padded to a square if `keep_aspect` is True, and stretched otherwise.
    """

    image_size: int
    keep_aspect: bool = False


def prepare(
    about: Dataset,
    found: SearchResult,
    folder: str | Path,
    form: Form,
    *,
    split: str | None = None,
    exclude: Collection[str] = (),
    workers: int = 1,
) -> dict[str, str]:
    """Write image-mask pairs in the common format. `folder` is replaced completely or not at all.

    index.csv contains one row per image (see segcert.data.dataset.Row). splits.json states the split rule and lists the
    images in each split. left_out.csv lists the images and masks that were left out, with reasons. dataset.json
    contains the catalogue entry and `form`.

    Parameters
    ----------
    about
        Catalogue entry of the data set.
    found
        The pairs to write, and the images and masks that have no counterpart.
    folder
        Target folder.
    form
        Format of the prepared images.
    split
        Name of a split rule, or path of a split file (see segcert.data.splits.rule_of). None means the data set's first
        rule.
    exclude
        Names of images to leave out.
    workers
        Number of threads.

    Returns
    -------
    dict
        Maps the path of every image and mask to its SHA-256.

    Raises
    ------
    DataError
        If too many images and masks have no counterpart; if an image is unreadable, differs in size from its mask, has
        an empty mask, or is identical to another image; if a group is in two splits; if a split is empty; or if a name
        is invalid or unknown. The message lists all unusable images.
    """
    rule_name, rule = rule_of(about, split)
    alone = [each for each in found.left_out if each.name not in exclude and each.reason != NOT_AN_IMAGE]
    total = len(found.pairs) + len(alone)
    if len(alone) > about.left_out_limit * total:
        raise DataError(
            f"{about.name}: {len(alone)} of {total} images and masks have no counterpart, which is more than the "
            f"allowed {about.left_out_limit:.0%}: "
            f"{_listed([(each.reason, str(each)) for each in alone])}\n"
            f"{_advice(about, [each.name for each in alone], total)}"
        )
    pairs, splits, left_out = _assign_splits(about, found, rule, exclude)
    with atomic_folder(folder) as new:
        rows, lossy = _write_images(about, pairs, splits, new, form, workers)
        write_index(new / "index.csv", rows)
        names = {split: [row.image for row in rows if row.split == split] for split in SPLITS}
        stated = {"dataset": about.name, "rule": rule_name, "description": rule.description, "group": about.group}
        (new / "splits.json").write_text(json.dumps({**stated, "leaks": rule.leaks, **names}, indent=1) + "\n")
        for title, images in names.items():
            log.info("%s: %d images in %s", about.name, len(images), title)
        columns = [field.name for field in dataclasses.fields(LeftOut)]
        with (new / "left_out.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *map(dataclasses.astuple, left_out)])
        card = {field.name: getattr(about, field.name) for field in dataclasses.fields(about) if field.name != "splits"}
        card |= {"archives": [dataclasses.asdict(archive) for archive in about.archives], **dataclasses.asdict(form)}
        if lossy:  # trained networks record this too, so that no remark is needed when a JPEG file is certified
            card["lossy"] = True
        (new / "dataset.json").write_text(json.dumps(card, indent=2) + "\n")
    log.info("%s: %d images were prepared, and %d were excluded", about.name, len(rows), len(left_out))
    return digests_of(rows, folder)


def _assign_splits(
    about: Dataset, found: SearchResult, rule: SplitRule, exclude: Collection[str]
) -> tuple[list[Pair], dict[str, str], list[LeftOut]]:
    """Return the pairs to use, a dict that maps image names to splits, and the images and masks to leave out."""
    known = {pair.name for pair in found.pairs} | {each.name for each in found.left_out}
    for key, names in (("exclude", exclude), ("splits", rule.names)):
        if unknown := sorted(set(names) - known):
            raise DataError(
                f"`{key}`: {about.name} has no image {unknown[0]!r}; its first image is {min(known)!r}. Correct the "
                "name (in YAML, write a name that consists of digits in quotes)"
            )
    for pair in found.pairs:
        if not NAME.fullmatch(pair.name) or len(pair.name.encode()) > LONGEST:
            raise DataError(
                f"{about.name}: found the image name {pair.name!r}; expected a name of at most {LONGEST} bytes in "
                "UTF-8, without slashes, leading dots, line breaks or other control characters. Rename the file, or "
                "give it a name in a `table`"
            )
        if not GROUP.fullmatch(pair.group):
            raise DataError(
                f"{about.name}: found the {about.group} {pair.group!r} for {pair.name}; expected a name without line "
                "breaks or other control characters"
            )
    splits = {pair.name: rule.split_of(ImageKey(about.name, pair.name, pair.group, pair.part)) for pair in found.pairs}
    left_out = list(found.left_out)
    left_out += [LeftOut(pair.name, "excluded in the configuration") for pair in found.pairs if pair.name in exclude]
    left_out += [
        LeftOut(pair.name, f"in no split ({rule.description})")
        for pair in found.pairs
        if not splits[pair.name] and pair.name not in exclude
    ]
    pairs = [pair for pair in found.pairs if splits[pair.name] and pair.name not in exclude]
    if not rule.leaks:
        check_groups(about.name, [(pair.name, pair.group, splits[pair.name]) for pair in pairs], about.group)
    for split in SPLITS:
        if split not in {splits[pair.name] for pair in pairs}:
            raise DataError(
                f"{about.name}: none of the {len(pairs)} images is in the split {split!r} ({rule.description}). Add "
                "images, or choose a different split rule with `splits`"
            )
    return pairs, splits, left_out


def _write_images(
    about: Dataset, pairs: Sequence[Pair], splits: Mapping[str, str], folder: Path, form: Form, workers: int
) -> tuple[list[Row], bool]:
    """Write images and masks. Return their rows of index.csv, and True if any image was compressed lossily.

    Raises a DataError that lists all unusable images.
    """
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    rows: list[Row] = []
    problems: dict[str, tuple[str, str]] = {}  # maps image names to (reason, message)
    first: dict[str, str] = {}

    steps: collections.Counter[str] = collections.Counter()

    def prepared(pair: Pair) -> tuple[Row, str, Sequence[str]] | DataError:
        try:
            return _write_pair(about, pair, splits[pair.name], folder, form)
        except DataError as error:
            return error

    results = _in_parallel(prepared, pairs, workers)
    for pair, result in zip(pairs, track(results, f"preparing {about.name}", len(pairs)), strict=True):
        if isinstance(result, DataError):
            # The message of the error names the file, but that of its cause does not. Files with the same cause are
            # therefore listed together.
            shared = result.__cause__ if isinstance(result.__cause__, DataError) else result
            problems[pair.name] = str(shared).removeprefix(pair.name), str(result)
            continue
        row, digest, applied = result
        steps[LOSSY] += is_lossy(applied)
        steps[NEARLY_GRAY] += any(step.startswith(NEARLY_GRAY) for step in applied)
        twin = first.setdefault(digest, pair.name)
        if twin != pair.name:
            message = f"{pair.name} is the same image as {twin}, under another name"
            problems[pair.name] = message, message
        rows.append(row)
    if problems:
        raise DataError(
            f"{about.name}: {len(problems)} of {len(pairs)} images cannot be used: {_listed(problems.values())}\n"
            f"{_advice(about, list(problems), len(pairs))}"
        )
    for step, count in steps.items():
        if count:
            log.info("%s: %d images were %s", about.name, count, step)
    return rows, bool(steps[LOSSY])


def _write_pair(about: Dataset, pair: Pair, split: str, folder: Path, form: Form) -> tuple[Row, str, Sequence[str]]:
    """Write an image and its mask.

    Returns the image's row of index.csv, the digest of its original pixels, and the steps applied to it.
    """
    image, mask = pair.load()
    if not mask.any() and not about.allow_empty:
        raise DataError(f"{pair.name} has an empty mask, with no pixel of class {' or '.join(about.classes[1:])}")
    height, width = image.size
    digest = array_digest(image.pixels)
    if form.keep_aspect:
        try:
            image, mask = image.padded(), pad_to_square(mask)
        except DataError as error:
            raise DataError(f"{pair.name}: {error}") from error
    image, mask = image.resized(form.image_size), resize_mask(mask, form.image_size, len(about.classes))
    if not mask.any() and not about.allow_empty:
        raise DataError(
            f"{pair.name} has an empty mask after resizing to {form.image_size}x{form.image_size} pixels; increase "
            "`image_size`"
        )
    pixels = image.pixels[0] if len(image.pixels) == 1 else image.pixels.transpose(1, 2, 0)
    paths = [folder / kind / f"{pair.name}.png" for kind in ("images", "masks")]
    write_png(paths[0], np.ascontiguousarray(pixels, np.uint8 if about.bits <= 8 else np.uint16))
    write_png(paths[1], mask)
    pixel_height, pixel_width = image.pixel_size or (None, None)
    digests = {"digest": file_digest(paths[0]), "mask_digest": file_digest(paths[1])}
    unit = image.length_unit if image.pixel_size else ""
    pixel = {"pixel_height": pixel_height, "pixel_width": pixel_width, "pixel_unit": unit}
    found_as = {"height": height, "width": width} | pixel
    row = Row.model_validate({"image": pair.name, "group": pair.group, "split": split} | digests | found_as)
    return row, digest, image.applied


def _in_parallel(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Apply a function to items in threads, and yield the results in the order of the items.

    At most 2 * workers + 1 results are pending at a time.
    """
    waiting: collections.deque[concurrent.futures.Future[Result]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _listed(problems: Iterable[tuple[str, str]]) -> str:
    """Format problems as a list. Each problem is (reason, message).

    Problems with the same reason share one line, which shows the first message and the number of other problems.
    """
    same_reason: dict[str, list[str]] = {}
    for reason, message in problems:
        same_reason.setdefault(reason, []).append(message)
    lines = []
    for first, *others in same_reason.values():
        lines.append(f"{first} (and {len(others)} more for the same reason)" if others else first)
    more = f"\n  - and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "".join(f"\n  - {line}" for line in lines[:SHOWN]) + more


def _advice(about: Dataset, names: Sequence[str], total: int) -> str:
    """Return advice on unusable images.

    Excluding them is suggested only if they are at most half of the `total` images.
    """
    if 2 * len(names) > total:
        return "Fix the data or the settings"
    return f"Fix the data, or exclude these images explicitly: `exclude: {{{about.name}: {json.dumps(names)}}}`"
