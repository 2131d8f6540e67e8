"""Blocks of draws: the unit of resumption and of reuse."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segcert.io.arrays import StoredArrays, save_arrays
from segcert.io.atomic import atomic_file
from segcert.io.json_files import parse_json
from segcert.io.progress import log
from segcert.provenance.digests import array_digest, value_digest


@dataclasses.dataclass(frozen=True)
class Block:
    """Some consecutive draws: their counts (num_classes, H, W), and columns of one value or row per draw.

    The column "areas", (draws, num_classes) pixels, is always there.
    """

    counts: npt.NDArray[np.integer[Any]]
    columns: Mapping[str, npt.NDArray[Any]]

    @property
    def draws(self) -> int:
        """Number of draws."""
        return len(self.columns["areas"])

    def with_columns(self, more: Mapping[str, npt.NDArray[Any]]) -> "Block":
        """The block with more columns."""
        return dataclasses.replace(self, columns={**self.columns, **more})

    def check(self) -> None:
        """Raise ValueError unless counts and columns are of one number of draws."""
        if self.counts.ndim != 3 or self.counts.dtype.kind not in "iu" or self.counts.size == 0:
            raise ValueError(f"has counts of shape {self.counts.shape} and type {self.counts.dtype}")
        lengths = {name: len(column) if column.ndim else None for name, column in self.columns.items()}
        if wrong := [name for name, length in lengths.items() if length is None or length != lengths["areas"]]:
            raise ValueError(f"has {lengths[wrong[0]]} draws of {wrong[0]}, and {lengths['areas']} areas")

    @property
    def digest(self) -> str:
        """SHA-256 over counts and columns."""
        columns = {name: array_digest(column) for name, column in self.columns.items()}
        return value_digest([array_digest(self.counts.astype(np.int64)), columns])


class BlockStore:
    """Blocks on disk, each in a file named by the digest of what was drawn (image, networks, code, sigma, seed, ...).

    The store stands outside the outputs that Snakemake declares, so it outlives a killed or failed job. It is a
    cache: deleting it loses nothing but time. Several processes may share it.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def get(self, key: dict[str, Any]) -> Block | None:
        """The block of a key, or None. A damaged file is deleted and counts as none."""
        path = self.path(key)
        try:
            with StoredArrays(path) as arrays:
                if missing := {"counts", "digest", "areas"} - arrays.keys():
                    raise ValueError(f"holds no {min(missing)}")
                columns = {name: arrays[name] for name in arrays.keys() - {"counts", "digest"}}
                block, digest = Block(arrays["counts"], columns), str(arrays["digest"])
            block.check()
            if _checksum(key, block) != digest:
                raise ValueError("the counts differ from their digest, or are those of another block")
        except FileNotFoundError:
            return None
        except ValueError as error:
            log.warning("%s: damaged (%s); drawn again", path, error)
            path.unlink(missing_ok=True)
            return None
        return block

    def put(self, key: dict[str, Any], block: Block) -> None:
        """Keep a block, whole or not at all. One of more draws stays; to one of as many, columns are added."""
        there = self.get(key)
        if there and there.draws > block.draws:
            return
        if there and there.draws == block.draws:
            block = there.with_columns(block.columns)
        digest = np.array(_checksum(key, block))
        save_arrays(self.path(key), {"counts": block.counts, "digest": digest, **block.columns})

    def extended_from(self, key: dict[str, Any], n: int) -> list[int]:
        """Note that the votes of a key have n estimation draws; return the smaller n that they had before.

        Raising n after a look at the certificates is not covered by alpha, so votes say whether it was done. A damaged
        note counts as none.
        """
        path = self.path(key).with_suffix(".json")
        known = _numbers(path)
        if n not in known:
            with atomic_file(path) as temporary:
                temporary.write_text(json.dumps(sorted([*known, n])))
        return [earlier for earlier in known if earlier < n]

    def path(self, key: dict[str, Any]) -> Path:
        """Where the block of a key stands."""
        digest = value_digest(key)
        return self.folder / digest[:2] / f"{digest}.npz"


def _checksum(key: dict[str, Any], block: Block) -> str:
    """SHA-256 over a block and what was drawn, so that a block under the name of another one is found out."""
    return value_digest([key, block.digest])


def _numbers(path: Path) -> list[int]:
    """Whole numbers from a file of JSON; none if it is not there, or damaged."""
    try:
        numbers = parse_json(path.read_bytes())
        if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
            raise ValueError("no list of whole numbers")
    except FileNotFoundError:
        return []
    except ValueError as error:
        log.warning("%s: damaged (%s); what it said of earlier numbers of draws is lost", path, error)
        return []
    return numbers
