"""Which images train, which validate, which are certified: by group, from names alone."""

import hashlib

SPLITS = ("train", "val", "test")
SHARES = {"train": 0.65, "val": 0.10, "test": 0.25}


def split_of(dataset: str, group: str) -> str:
    """The split of a group (a patient, a video sequence): train 65%, val 10%, test 25%.

    The rule is a hash of the names of data set and group, so all images of a group fall on one side, and adding
    or removing images moves no other.
    """
    digest = hashlib.sha256(f"{dataset}/{group}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    for split, share in SHARES.items():
        if position < share:
            return split
        position -= share
    return "test"
