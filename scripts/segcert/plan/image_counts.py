"""Numbers of images that train, validate and are certified: those prepared, otherwise those published."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from segcert.config import Config
from segcert.data import catalogue
from segcert.data.catalogue import Dataset, Named
from segcert.data.dataset import SPLITS, read_index
from segcert.data.splits import GROUPS, SHARES, rule_of
from segcert.data.user_data import OwnFolder, list_own
from segcert.plan.jobs import ForecastError


@dataclasses.dataclass(frozen=True)
class Images:
    """Numbers of images of a data set by split, and their source as text."""

    train: int
    val: int
    test: int
    source: str

    @property
    def all(self) -> int:
        """Number of images in all splits."""
        return self.train + self.val + self.test


def about(name: str, config: Config) -> Dataset:
    """Return the description of a data set: from the catalogue, or of a user-supplied folder."""
    own = config.own_data.get(name)
    return OwnFolder(name, own.model_dump()).about if own else catalogue.dataset(name)


def images_of(name: str, config: Config, index: Path, certified: int | None = None) -> Images:
    """Return the numbers of images of a data set.

    They are read from `index` (data/prepared/<name>/index.csv) if it exists. Otherwise those of the phantom are in the
    configuration, and those of user-supplied data are counted in their folder. The others follow from the published
    size of the release and the rule of the split. At most `sampling.test_images` are certified; `certified` replaces
    the number of test images.

    Raises ForecastError if the numbers are not known.
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
    dataset, excluded = about(name, config), set(config.exclude.get(name, []))
    chosen, rule = rule_of(dataset, config.splits.get(name))
    if name in config.own_data:
        splits: Counter[str] = Counter()
        for image, row in list_own(name, config.own_data[name].model_dump()).items():
            if row.image and row.mask and image not in excluded:
                splits[rule.split_of(Named(name, image, row.group or image, row.split or None))] += 1
        return _images(splits, "the files of `own_data`")
    still_counted = f"; {len(excluded)} of `exclude` are still counted" if excluded else ""
    if rule.counts:
        source = config.splits[name] if chosen == "file" else f"the catalogue, split {chosen!r}"
        return _images(rule.counts, source + still_counted)
    usable = dataset.masked or dataset.images
    if rule is not GROUPS or usable is None:
        raise ForecastError(
            f"{name}: the number of images that its split {chosen!r} certifies is not known before they are prepared. "
            f"Run snakemake data/prepared/{name}/index.csv, or write --images N"
        )
    source = f"the catalogue: expected of {usable} images, split {chosen!r} by a hash{still_counted}"
    return _images({split: round(share * usable) for split, share in SHARES.items()}, source)


def _images(splits: Mapping[str, int], source: str) -> Images:
    train, val, test = (splits.get(split, 0) for split in SPLITS)
    return Images(train, val, test, source)
