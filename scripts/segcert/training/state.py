"""The exponential moving average of the weights.

What an interrupted training goes on from.
"""

import copy
import dataclasses
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segcert.io.atomic import atomic_file
from segcert.io.progress import log
from segcert.provenance.digests import file_digest, value_digest

WARM_UP = 10


class Average:
    """A copy of a network, its weights averaged over the steps, its buffers (batch statistics) those of the last one.

    Early on the decay is (1 + step) / (10 + step), so that short trainings are not averaged with their start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after a step (1, 2, ...)."""
        decay = min(self.decay, (1 + step) / (WARM_UP + step))
        torch._foreach_lerp_(list(self.module.parameters()), list(model.parameters()), 1 - decay)
        for mean, latest in zip(self.module.buffers(), model.buffers(), strict=True):
            mean.copy_(latest)


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
        """The state, its tensors on the CPU, or None if there is none of this key. A damaged file counts as none.

        From there networks and optimisers copy what belongs on a GPU to it. Of an optimiser that is not the number of
        steps of each weight: on a GPU every step would wait for every one of them.
        """
        if not self.path.exists():
            return None
        with self.path.open("rb") as file:
            try:
                with zipfile.ZipFile(file) as parts:  # torch writes the checksum of each part, and does not look at it
                    if wrong := parts.testzip():
                        raise zipfile.BadZipFile(f"{wrong} differs from its checksum")
                file.seek(0)
                saved = torch.load(file, map_location="cpu", weights_only=True)
                return saved["state"] if saved["key"] == self.key else None
            except Exception as error:  # a damaged file can make torch raise anything
                log.warning("%s: damaged (%s); training starts again", self.path, str(error).partition("\n")[0])
                return None

    def save(self, state: dict[str, Any]) -> None:
        """Write the state in the place of the one before."""
        with atomic_file(self.path) as path, path.open("wb") as file:  # to a path, torch does not say why it failed
            torch.save({"key": self.key, "state": state}, file)

    def discard(self) -> None:
        """Remove it: what was trained is written."""
        self.path.unlink(missing_ok=True)
