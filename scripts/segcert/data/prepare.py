"""The common format: data/prepared/<dataset>/ with images/*.png, masks/*.png, index.csv and what goes with it."""

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

from segcert.data.catalogue import Dataset, Named, SplitRule
from segcert.data.dataset import SPLITS, Row, check_groups, digests_of, write_index
from segcert.data.errors import DataError
from segcert.data.pairs import Found, LeftOut, Pair
from segcert.data.raster import pad_to_square, resize_mask, write_png
from segcert.data.splits import rule_of
from segcert.io.atomic import atomic_folder
from segcert.io.progress import log, track
from segcert.provenance.digests import array_digest, file_digest

SHOWN = 10  # of a list of problems
NAME = re.compile(r"(?!\.)[^/\\\0-\x1f\x7f\ud800-\udfff]+")  # a file of the prepared folder is called so,
GROUP = re.compile(r"[^\0-\x1f\x7f\ud800-\udfff]+")  # and a line of its index holds both
LONGEST = 200  # bytes of a name: file systems have 255, of which endings and temporary files take some
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Form:
    """Prepared images have (image_size, image_size) pixels: stretched, or padded with black to keep their aspect."""

    image_size: int
    keep_aspect: bool = False


def prepare(
    about: Dataset,
    found: Found,
    folder: str | Path,
    form: Form,
    *,
    split: str | None = None,
    exclude: Collection[str] = (),
    workers: int = 1,
) -> dict[str, str]:
    """Write what a reader found in the common format, in place of `folder`, which appears whole or not at all.

    Returns the SHA-256 of every image and mask, by path.

    index.csv has a row per image (segcert.data.dataset); splits.json says who trains, validates and tests, and by what
    rule; left_out.csv says what was left out and why; dataset.json repeats the catalogue. `split` chooses the rule
    (segcert.data.splits.rule_of); `exclude` names images to leave out.

    Raises DataError, with all that is wrong, when more lack a partner than the data set's limit, an image cannot be
    used (unreadable, of another size than its mask, with an empty mask, the same as another), a group falls into two
    splits, or a split is empty.
    """
    rule_name, rule = rule_of(about, split)
    alone = [each for each in found.left_out if each.name not in exclude]
    total = len(found.pairs) + len(alone)
    if len(alone) > about.left_out_limit * total:
        raise DataError(
            f"{about.name}: {len(alone)} of {total} lack a partner, more than {about.left_out_limit:.0%}: "
            f"{_listed([(each.reason, str(each)) for each in alone])}\n"
            f"{_advice(about, [each.name for each in alone], total)}"
        )
    pairs, splits, left_out = _dealt_out(about, found, rule, exclude)
    with atomic_folder(folder) as new:
        rows = _write_images(about, pairs, splits, new, form, workers)
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
        (new / "dataset.json").write_text(json.dumps(card, indent=2) + "\n")
    log.info("%s: %d images prepared, %d left out", about.name, len(rows), len(left_out))
    return digests_of(rows, folder)


def _dealt_out(
    about: Dataset, found: Found, rule: SplitRule, exclude: Collection[str]
) -> tuple[list[Pair], dict[str, str], list[LeftOut]]:
    """The pairs that are used, the split of each, and what is left out."""
    known = {pair.name for pair in found.pairs} | {each.name for each in found.left_out}
    for key, names in (("exclude", exclude), ("splits", rule.names)):
        if unknown := sorted(set(names) - known):
            raise DataError(
                f"`{key}`: {about.name} has no image {unknown[0]!r}; its first is {min(known)!r}. Mend the name (in "
                "YAML, put quotes round a name that is a number)"
            )
    for pair in found.pairs:
        if not NAME.fullmatch(pair.name) or len(pair.name.encode()) > LONGEST:
            raise DataError(
                f"{about.name}: found the image name {pair.name!r}; expected no slash, leading dot, line end or other "
                f"control character, and at most {LONGEST} bytes of UTF-8. Rename the file, or name it in a `table`"
            )
        if not GROUP.fullmatch(pair.group):
            raise DataError(
                f"{about.name}: found the {about.group} {pair.group!r} of {pair.name}; expected no line end or other "
                "control character"
            )
    splits = {pair.name: rule.split_of(Named(about.name, pair.name, pair.group, pair.part)) for pair in found.pairs}
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
                f"{about.name}: none of {len(pairs)} images falls into the split {split!r} ({rule.description}); more "
                "images are needed, or a split of your own: `splits`"
            )
    return pairs, splits, left_out


def _write_images(
    about: Dataset, pairs: Sequence[Pair], splits: Mapping[str, str], folder: Path, form: Form, workers: int
) -> list[Row]:
    """Write images and masks; return their rows. Raises DataError with all that cannot be used."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    rows: list[Row] = []
    problems: dict[str, tuple[str, str]] = {}  # reason and message by image
    first: dict[str, str] = {}

    def prepared(pair: Pair) -> tuple[Row, str] | DataError:
        try:
            return _prepared(about, pair, splits[pair.name], folder, form)
        except DataError as error:
            return error

    results = _in_parallel(prepared, pairs, workers)
    for pair, result in zip(pairs, track(results, f"preparing {about.name}", len(pairs)), strict=True):
        if isinstance(result, DataError):
            # A reader names the file and raises from a reason without it, which many files may share.
            shared = result.__cause__ if isinstance(result.__cause__, DataError) else result
            problems[pair.name] = str(shared).removeprefix(pair.name), str(result)
            continue
        row, digest = result
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
    return rows


def _prepared(about: Dataset, pair: Pair, split: str, folder: Path, form: Form) -> tuple[Row, str]:
    """Write an image and its mask; return its row and a digest of its pixels as they were found."""
    image, mask = pair.load()
    if not mask.any() and not about.allow_empty:
        raise DataError(f"{pair.name} has an empty mask: no pixel of {', '.join(about.classes[1:])}")
    height, width = image.size
    digest = array_digest(image.pixels)
    if form.keep_aspect:
        try:
            image, mask = image.padded(), pad_to_square(mask)
        except DataError as error:
            raise DataError(f"{pair.name} {error}") from error
    image, mask = image.resized(form.image_size), resize_mask(mask, form.image_size, len(about.classes))
    if not mask.any() and not about.allow_empty:
        raise DataError(f"{pair.name} has an empty mask at {form.image_size}x{form.image_size}; raise `image_size`")
    pixels = image.pixels[0] if len(image.pixels) == 1 else image.pixels.transpose(1, 2, 0)
    paths = [folder / kind / f"{pair.name}.png" for kind in ("images", "masks")]
    write_png(paths[0], np.ascontiguousarray(pixels, np.uint8 if about.bits <= 8 else np.uint16))
    write_png(paths[1], mask)
    pixel_height, pixel_width = image.pixel_size or (None, None)
    digests = {"digest": file_digest(paths[0]), "mask_digest": file_digest(paths[1])}
    found_as = {"height": height, "width": width, "pixel_height": pixel_height, "pixel_width": pixel_width}
    return Row.model_validate({"image": pair.name, "group": pair.group, "split": split} | digests | found_as), digest


def _in_parallel(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """The results in order, no more than a few items ahead of the one that is taken."""
    waiting: collections.deque[concurrent.futures.Future[Result]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _listed(problems: Iterable[tuple[str, str]]) -> str:
    """List problems, (reason, message) each. Those with the same reason are one line: its first message and a count."""
    same_reason: dict[str, list[str]] = {}
    for reason, message in problems:
        same_reason.setdefault(reason, []).append(message)
    lines = []
    for first, *others in same_reason.values():
        lines.append(f"{first} (and {len(others)} more for the same reason)" if others else first)
    more = f"\n  - and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "".join(f"\n  - {line}" for line in lines[:SHOWN]) + more


def _advice(about: Dataset, names: Sequence[str], total: int) -> str:
    """Text that says how to go on without some of `total` images. To exclude most of them would help nobody."""
    if 2 * len(names) > total:
        return "Fix the data or the settings"
    return f"Fix the data, or exclude these images explicitly: `exclude: {{{about.name}: {json.dumps(names)}}}`"
