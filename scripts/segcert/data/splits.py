"""Assign images to the training, validation and test splits, and keep all images of a group in one split."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from segcert.data.catalogue import Dataset, ImageKey, SplitRule
from segcert.data.dataset import SPLITS, Splits
from segcert.data.errors import DataError
from segcert.io.json_models import read_document

SHARES = {"train": 0.65, "val": 0.10, "test": 0.25}


def by_hash(key: str, shares: Mapping[str, float] = SHARES) -> str:
    """Choose a split from the hash of `key`, independently of other keys.

    `shares` maps each split to its expected fraction of all keys.
    """
    position = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    for split, share in shares.items():
        if position < share:
            return split
        position -= share
    return list(shares)[-1]


def by_group(key: ImageKey) -> str:
    """Choose the split by the image's group, so that all images from one patient or sequence are in one split."""
    return by_hash(f"{key.dataset}/{key.group}")


def expected_tests(about: Dataset, rule: SplitRule) -> int | None:
    """Return the number of test images in a complete data set, which may be an estimate, or None if it is unknown.

    The number is used only to plan a run before the images are available. Certification always uses the test images in
    index.csv.
    """
    if "test" not in rule.counts and about.images:
        return math.ceil(SHARES["test"] * about.images)
    return rule.counts.get("test")


GROUPS = SplitRule("by group, from a hash of its name: 65% train, 10% val, 25% test", by_group)


def rule_of(about: Dataset, chosen: str | None) -> tuple[str, SplitRule]:
    """Return the name of the chosen split rule, and the rule itself. A rule that is read from a file is called "file".

    `chosen` is the name of one of the data set's rules, the path of a .json file (see `read_split_file`), or None for
    the data set's first rule. Raises DataError for an unknown name or an invalid file.
    """
    if chosen and chosen.endswith(".json"):
        return "file", read_split_file(Path(chosen))
    name = chosen or next(iter(about.splits))
    if name not in about.splits:
        raise DataError(
            f"`splits`: found {name!r} for {about.name}; expected {' or '.join(about.splits)}, or the path of a "
            ".json file"
        )
    return name, about.splits[name]


def read_split_file(path: Path) -> SplitRule:
    """Read a split rule from a JSON file in the format of a prepared data set's splits.json.

    The rule returns "" for images that the file does not list. Raises DataError if the file cannot be read or lists an
    image twice.
    """
    wanted = "expected JSON with the keys train, val and test, each a list of image names"
    stated = read_document(path, Splits, DataError, "is not a valid split file", wanted)
    pairs = [(str(image), split) for split in SPLITS for image in stated[split]]
    split_of = dict(pairs)
    if len(split_of) < len(pairs):
        twice = next(image for image, count in Counter(image for image, _ in pairs).items() if count > 1)
        raise DataError(f"{path}: lists the image {twice} twice; expected each image only once")
    return SplitRule(
        f"as {path.name} states",
        lambda key: split_of.get(key.image, ""),
        stated.get("leaks", False),
        frozenset(split_of),
        {split: len(stated[split]) for split in SPLITS},
    )
