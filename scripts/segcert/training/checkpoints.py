"""What an interrupted training goes on from."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from segcert.progress import log
from segcert.provenance.atomic import atomic_file
from segcert.provenance.digests import file_digest, value_digest


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A file that holds the state of a training, for one that has the same key.

    key: a digest of all that decides what is trained; a checkpoint of another one is not gone on from. The file is
    written whole or not at all, outside of what Snakemake knows, so a failed or killed job leaves it.
    """

    path: Path
    key: str

    @classmethod
    def of(cls, path: str | Path, files: Iterable[str | Path], **decides: Any) -> "Checkpoint":
        """The checkpoint of a training that is decided by the contents of some files and by JSON values."""
        return cls(Path(path), value_digest([[file_digest(each) for each in files], decides]))

    def load(self) -> dict[str, Any] | None:
        """The state, its tensors on the CPU, or None if there is none of this key; a damaged one is deleted.

        From there networks and optimisers copy what belongs on a GPU to it. Of an optimiser that is not the number of
        steps of each weight: on a GPU every step would wait for every one of them.
        """
        if not self.path.exists():
            return None
        try:
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
            key, state = saved["key"], saved["state"]
        except Exception as error:  # torch's unpickler meets foreign bytes with errors of many kinds
            log.warning("%s: damaged (%s); training begins anew", self.path, type(error).__name__)
            self.discard()
            return None
        return state if key == self.key else None

    def save(self, state: dict[str, Any]) -> None:
        """Write the state in the place of the one before."""
        with atomic_file(self.path) as path:
            torch.save({"key": self.key, "state": state}, path)

    def discard(self) -> None:
        """Remove it: what was trained is written."""
        self.path.unlink(missing_ok=True)
