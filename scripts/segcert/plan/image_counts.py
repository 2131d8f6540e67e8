"""Numbers of training, validation and certified images, from prepared data if possible or from published numbers."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from segcert.data.catalogue import ImageKey
from segcert.data.dataset import SPLITS, read_index
from segcert.data.splits import GROUPS, SHARES
from segcert.data.user_files import list_own
from segcert.plan.configured_run import ConfiguredRun
from segcert.plan.jobs import ForecastError


@dataclasses.dataclass(frozen=True)
class Images:
    """Numbers of images in each split of a data set, and the source of the numbers as text."""

    train: int
    val: int
    test: int
    source: str

    @property
    def all(self) -> int:
        """Number of images in all splits together."""
        return self.train + self.val + self.test


def images_of(name: str, run: ConfiguredRun, index: Path, certified: int | None = None) -> Images:
    """Return the numbers of images in a data set.

    The numbers for the phantom are in the configuration. For other data sets, they are read from `index`
    (data/prepared/<name>/index.csv) if this file exists. Otherwise, user-supplied images are counted in their folder,
    and the numbers for a release are computed from its published size and the split rule. At most
    `sampling.test_images` images are certified; `certified` replaces the number of test images.

    Raises ForecastError if the numbers are not known.
    """
    found = _all_images(name, run, index)
    if certified is not None:
        return dataclasses.replace(found, test=certified, source=f"--images {certified}; other splits: {found.source}")
    limit = run.config.sampling.test_images
    if limit is not None and limit < found.test:
        return dataclasses.replace(found, test=limit, source=f"sampling.test_images, of {found.test}: {found.source}")
    return found


def _all_images(name: str, run: ConfiguredRun, index: Path) -> Images:
    config, dataset, rule = run.config, run.about[name], run.splits[name]
    if name == "phantom":
        return Images(**config.phantom.model_dump(), source="the configuration")
    if index.exists():
        return _images(Counter(str(row.split) for row in read_index(index)), str(index))
    excluded = set(config.exclude.get(name, []))
    if name in run.own_folders:
        splits: Counter[str] = Counter()
        for image, row in list_own(name, config.own_data[name].model_dump()).rows.items():
            if row.image and row.masks and image not in excluded:
                splits[rule.split_of(ImageKey(name, image, row.group or image, row.split or None))] += 1
        return _images(splits, "the files of `own_data`")
    chosen = config.splits.get(name) or next(iter(dataset.splits))
    still_counted = f"; includes {len(excluded)} images of `exclude`" if excluded else ""
    if rule.counts:
        source = chosen if chosen.endswith(".json") else f"the catalogue, split {chosen!r}"
        return _images(rule.counts, source + still_counted)
    usable = dataset.masked or dataset.images
    if rule is not GROUPS or usable is None:
        raise ForecastError(
            f"{name}: the number of test images in the split {chosen!r} is not known before the data are prepared. "
            f"Run snakemake data/prepared/{name}/index.csv, or pass --images N"
        )
    source = (
        f"the catalogue: expected numbers of {usable} images, which split {chosen!r} assigns by a hash{still_counted}"
    )
    return _images({split: round(share * usable) for split, share in SHARES.items()}, source)


def _images(splits: Mapping[str, int], source: str) -> Images:
    train, val, test = (splits.get(split, 0) for split in SPLITS)
    return Images(train, val, test, source)
