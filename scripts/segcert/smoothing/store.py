"""Blocks of draws, which are stored on disk so that sampling can resume and reuse draws."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segcert.io.arrays import StoredArrays, save_arrays
from segcert.io.progress import log
from segcert.provenance.digests import array_digest, value_digest


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of consecutive draws, with the counts of their labels and with columns.

    `counts` has the shape (num_classes, H, W). A column has one entry per draw. There is always a column `areas`, of
    shape (draws, num_classes), in pixels.
    """

    counts: npt.NDArray[np.integer[Any]]
    columns: Mapping[str, npt.NDArray[Any]]

    @property
    def draws(self) -> int:
        """Number of draws in the block."""
        return len(self.columns["areas"])

    def with_columns(self, more: Mapping[str, npt.NDArray[Any]]) -> "Block":
        """Return a copy of the block with additional columns."""
        return dataclasses.replace(self, columns={**self.columns, **more})

    def check(self) -> None:
        """Raise ValueError if the counts are malformed, or if columns have different numbers of draws."""
        if self.counts.ndim != 3 or self.counts.dtype.kind not in "iu" or self.counts.size == 0:
            raise ValueError(
                f"found counts of shape {self.counts.shape} and type {self.counts.dtype}; expected integers of shape "
                "(classes, H, W)"
            )
        lengths = {name: len(column) if column.ndim else None for name, column in self.columns.items()}
        if wrong := [name for name, length in lengths.items() if length is None or length != lengths["areas"]]:
            raise ValueError(
                f"the column `{wrong[0]}` has {lengths[wrong[0]]} draws, but the column `areas` has {lengths['areas']}"
            )

    @property
    def digest(self) -> str:
        """SHA-256 of the block's counts and columns."""
        columns = {name: array_digest(column) for name, column in self.columns.items()}
        return value_digest([array_digest(self.counts.astype(np.int64)), columns])


class BlockStore:
    """A folder of blocks. A file is named after the digest of its block's key (image, networks, code, seed, ...).

    The store is not an output of a Snakemake rule, so it survives a killed or failed job. The blocks are a cache: if
    they are deleted, they can be drawn again. However, the folder also contains the ledger of decisions
    (segcert.provenance.ledger), and this record of earlier decisions is lost if the folder is deleted. Several
    processes may share a store.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def get(self, key: dict[str, Any]) -> Block | None:
        """Return the block stored under a key, or None if no block is stored. A damaged file is deleted and ignored."""
        path = self.path(key)
        try:
            with StoredArrays(path) as arrays:
                if missing := {"counts", "digest", "areas"} - arrays.keys():
                    raise ValueError(f"{min(missing)} is missing")
                columns = {name: arrays[name] for name in arrays.keys() - {"counts", "digest"}}
                block, digest = Block(arrays["counts"], columns), str(arrays["digest"])
            block.check()
            if _checksum(key, block) != digest:
                raise ValueError("the block does not match its digest or its key")
        except FileNotFoundError:
            return None
        except ValueError as error:
            log.warning("%s: this block of draws is damaged (%s); its draws are repeated", path, error)
            path.unlink(missing_ok=True)
            return None
        return block

    def put(self, key: dict[str, Any], block: Block) -> None:
        """Store a block under a key, atomically, unless a block with more draws is already stored under this key.

        If the stored block has the same number of draws, its additional columns are kept.
        """
        stored = self.get(key)
        if stored and stored.draws > block.draws:
            return
        if stored and stored.draws == block.draws:
            block = stored.with_columns(block.columns)
        digest = np.array(_checksum(key, block))
        save_arrays(self.path(key), {"counts": block.counts, "digest": digest, **block.columns})

    def path(self, key: dict[str, Any]) -> Path:
        """Return the path of the file for the block with the given key."""
        digest = value_digest(key)
        return self.folder / digest[:2] / f"{digest}.npz"


def _checksum(key: dict[str, Any], block: Block) -> str:
    """Return the SHA-256 digest of a key and its block, which detects a block that is stored under a wrong name."""
    return value_digest([key, block.digest])
