"""Numbers of images that train, validate and are certified: from what is prepared, else from what is published."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from segcert.config import Config
from segcert.data import catalogue
from segcert.data.catalogue import Dataset, ImageKey, SplitRule
from segcert.data.dataset import SPLITS, read_index
from segcert.data.splits import GROUPS, SHARES, rule_of
from segcert.data.user_data import OwnFolder
from segcert.data.user_files import list_own
from segcert.plan.jobs import ForecastError


@dataclasses.dataclass(frozen=True)
class Images:
    """Images of a data set by split; `source` says in words where the numbers are from."""

    train: int
    val: int
    test: int
    source: str

    @property
    def all(self) -> int:
        """All that are prepared."""
        return self.train + self.val + self.test


def about(name: str, config: Config) -> Dataset:
    """The entry of a data set of the configuration: the catalogue's, or that of an own folder."""
    own = config.own_data.get(name)
    return OwnFolder(name, own.model_dump()).about if own else catalogue.dataset(name)


def images_of(name: str, config: Config, index: Path, certified: int | None = None) -> Images:
    """The images of a data set.

    From `index` (data/prepared/<name>/index.csv) where it is there; else the phantom's from the configuration, those
    of one's own from their folder, and the others' from what is published of the release and the rule of the split.
    `certified` takes the place of the number of test images, of which at most `sampling.test_images` are certified.

    Raises ForecastError where nothing is known.
    """
    found = _all_images(name, config, index)
    if certified is not None:
        return dataclasses.replace(found, test=certified, source=f"--images {certified}; the others: {found.source}")
    limit = config.sampling.test_images
    if limit is not None and limit < found.test:
        return dataclasses.replace(found, test=limit, source=f"sampling.test_images of {found.test}: {found.source}")
    return found


def _all_images(name: str, config: Config, index: Path) -> Images:
    if name == "phantom":
        return Images(**config.phantom.model_dump(), source="the configuration")
    if index.exists():
        return _images(Counter(str(row.split) for row in read_index(index)), str(index))
    dataset = about(name, config)
    chosen, rule = rule_of(dataset, config.splits.get(name))
    if name in config.own_data:
        return _of_own_folder(name, config, rule)
    left_out = len(config.exclude.get(name, []))
    less = f"; {left_out} of `exclude` are still among them" if left_out else ""
    if rule.counts:
        source = config.splits[name] if chosen == "file" else f"the catalogue, split {chosen!r}"
        return _images(rule.counts, source + less)
    usable = dataset.masked or dataset.images
    if rule is not GROUPS or usable is None:
        raise ForecastError(
            f"{name}: how many images its split {chosen!r} certifies is not known before it is prepared. Run "
            f"snakemake data/prepared/{name}/index.csv, or write --images N"
        )
    source = f"the catalogue: expected of {usable} images, split {chosen!r} by a hash{less}"
    return _images({split: round(share * usable) for split, share in SHARES.items()}, source)


def _of_own_folder(name: str, config: Config, rule: SplitRule) -> Images:
    left_out = set(config.exclude.get(name, []))
    splits: Counter[str] = Counter()
    for image, row in list_own(name, config.own_data[name].model_dump()).rows.items():
        if row.image and row.masks and image not in left_out:
            splits[rule.split_of(ImageKey(name, image, row.group or image, row.split or None))] += 1
    return _images(splits, "the files of `own_data`")


def _images(splits: Mapping[str, int], source: str) -> Images:
    train, val, test = (splits.get(split, 0) for split in SPLITS)
    return Images(train, val, test, source)
