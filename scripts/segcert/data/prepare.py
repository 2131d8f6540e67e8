"""The common format: data/prepared/<dataset>/ with images/*.png, masks/*.png, index.csv, dataset.json, splits/*.txt."""

import csv
import dataclasses
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from segcert.data.catalogue import CATALOGUE
from segcert.data.errors import DataError
from segcert.data.images import Sample, resize_image, resize_mask, write_png
from segcert.data.splits import SPLITS
from segcert.progress import log, track
from segcert.provenance.atomic import atomic_folder
from segcert.provenance.digests import file_digest

COLUMNS = ("image", "group", "split", "digest", "mask_digest")


def prepare(
    dataset: str, samples: Iterable[Sample], folder: str | Path, size: int, split_of: Callable[[Sample], str]
) -> None:
    """Write `samples` in the common format, at (size, size) pixels, in place of `folder`.

    index.csv has a row per image: its name, group, split, and the SHA-256 of its PNG and of its mask's PNG.
    The folder appears whole or not at all. Raises DataError when a split would be empty.
    """
    about = CATALOGUE[dataset]
    rows: list[dict[str, str]] = []
    with atomic_folder(folder) as new:
        for kind in ("images", "masks", "splits"):
            (new / kind).mkdir()
        for sample in track(samples, f"preparing {dataset}"):
            image_path, mask_path = new / "images" / f"{sample.name}.png", new / "masks" / f"{sample.name}.png"
            write_png(image_path, resize_image(sample.image, size))
            write_png(mask_path, resize_mask(sample.mask, size, len(about.classes)))
            values = (sample.name, sample.group, split_of(sample), file_digest(image_path), file_digest(mask_path))
            rows.append(dict(zip(COLUMNS, values, strict=True)))
        rows.sort(key=lambda row: row["image"])
        with (new / "index.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        for split in SPLITS:
            names = [row["image"] for row in rows if row["split"] == split]
            if not names:
                raise DataError(
                    f"{dataset}: none of {len(rows)} images falls into the split {split!r}; more images are needed"
                )
            (new / "splits" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
            log.info("%s: %d images in %s", dataset, len(names), split)
        card = {"name": dataset, "image_size": size, **dataclasses.asdict(about)}
        (new / "dataset.json").write_text(json.dumps(card, indent=2) + "\n")
