"""Blocks of draws: the unit of resumption and of reuse."""

import dataclasses
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segcert.progress import log
from segcert.provenance.atomic import save_arrays
from segcert.provenance.digests import array_digest, value_digest


@dataclasses.dataclass(frozen=True)
class Block:
    """The counts of some consecutive draws: counts (num_classes, H, W), areas (draws, num_classes) in pixels."""

    counts: npt.NDArray[np.integer[Any]]
    areas: npt.NDArray[np.integer[Any]]

    @property
    def draws(self) -> int:
        """Number of draws."""
        return len(self.areas)

    def __add__(self, later: "Block") -> "Block":
        return Block(counts=self.counts + later.counts, areas=np.concatenate([self.areas, later.areas]))

    @property
    def digest(self) -> str:
        """SHA-256 over counts and areas."""
        return value_digest([array_digest(array.astype(np.int64)) for array in (self.counts, self.areas)])


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
            with np.load(path, allow_pickle=False) as arrays:
                block, digest = Block(arrays["counts"], arrays["areas"]), str(arrays["digest"])
            if block.digest != digest:
                raise ValueError("the counts differ from their digest")
        except FileNotFoundError:
            return None
        except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, ValueError) as error:
            log.warning("%s: damaged (%s); drawn again", path, error)
            path.unlink(missing_ok=True)
            return None
        return block

    def put(self, key: dict[str, Any], block: Block) -> None:
        """Keep a block, whole or not at all, in place of what stands under its key."""
        save_arrays(self.path(key), {"counts": block.counts, "areas": block.areas, "digest": np.array(block.digest)})

    def path(self, key: dict[str, Any]) -> Path:
        """Where the block of a key stands."""
        digest = value_digest(key)
        return self.folder / digest[:2] / f"{digest}.npz"
