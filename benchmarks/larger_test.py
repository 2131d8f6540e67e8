"""Write a split with enough test images: python -m benchmarks.larger_test INDEX COUNT SPLIT.json.

INDEX is the index.csv of a prepared data set. Groups are moved from the `train` split to the `test` split until `test`
contains COUNT images. Groups are sorted by the SHA-256 of their names. To use the split, write `splits: {DATASET:
SPLIT.json}` in the configuration.
"""

import hashlib
import json
import sys
from pathlib import Path

from segcert.data.dataset import SPLITS, Row, read_index


def larger_test(rows: list[Row], count: int) -> dict[str, list[str]]:
    """Return the image names of each split after the moves."""
    names = {split: [row.image for row in rows if row.split == split] for split in SPLITS}
    groups = {row.group for row in rows if row.split == "train"}
    for group in sorted(groups, key=lambda name: hashlib.sha256(name.encode()).hexdigest()):
        if len(names["test"]) >= count:
            break
        moving = [row.image for row in rows if row.group == group]
        names["train"] = [name for name in names["train"] if name not in moving]
        names["test"] += moving
    return names


if __name__ == "__main__":
    names = larger_test(read_index(Path(sys.argv[1])), int(sys.argv[2]))
    Path(sys.argv[3]).write_text(json.dumps(names, indent=1) + "\n")
    print({split: len(images) for split, images in names.items()})
