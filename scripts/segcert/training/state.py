"""Training state: the moving average of the weights, and the checkpoint from which training resumes."""

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
    """A copy of a network whose weights are an exponential moving average over the training steps.

    The copy's buffers (batch statistics) are those of the last step. In early steps, the decay is (1 + step) / (10 +
    step), so that the initial weights do not dominate the average in short training runs.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Update the average with the weights after a step. The steps are numbered from 1."""
        decay = min(self.decay, (1 + step) / (WARM_UP + step))
        torch._foreach_lerp_(list(self.module.parameters()), list(model.parameters()), 1 - decay)
        for mean, latest in zip(self.module.buffers(), model.buffers(), strict=True):
            mean.copy_(latest)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A file that contains the training state, from which a training run with the same key resumes.

    The key is a digest of everything that determines the result. The file is written atomically. It is not an output of
    a Snakemake rule, so it survives a failed or killed job.
    """

    path: Path
    key: str

    @classmethod
    def of(cls, path: str | Path, files: Iterable[str | Path], **decides: Any) -> "Checkpoint":
        """Return the checkpoint of a training run.

        The key is a digest of the contents of `files` and of the other arguments, which are JSON values.
        """
        return cls(Path(path), value_digest([[file_digest(each) for each in files], decides]))

    def load(self) -> dict[str, Any] | None:
        """Read the state, with tensors on the CPU. Return None if the file is missing, damaged or has a different key.

        Networks and optimisers copy tensors to the GPU themselves. An optimiser keeps its step counts on the CPU,
        because otherwise each step would have to wait for the GPU to return them.
        """
        if not self.path.exists():
            return None
        with self.path.open("rb") as file:
            try:
                with zipfile.ZipFile(file) as parts:  # torch writes checksums, but does not verify them
                    if wrong := parts.testzip():
                        raise zipfile.BadZipFile(f"{wrong} does not match its checksum")
                file.seek(0)
                saved = torch.load(file, map_location="cpu", weights_only=True)
                return saved["state"] if saved["key"] == self.key else None
            except Exception as error:  # torch can raise anything for a damaged file
                log.warning(
                    "%s: this checkpoint is damaged (%s); training starts from the beginning",
                    self.path,
                    str(error).partition("\n")[0],
                )
                return None

    def save(self, state: dict[str, Any]) -> None:
        """Write the state, which replaces any previous state."""
        with atomic_file(self.path) as path, path.open("wb") as file:  # given a path, torch hides why writing failed
            torch.save({"key": self.key, "state": state}, file)

    def discard(self) -> None:
        """Delete the checkpoint. This method is called when training has finished."""
        self.path.unlink(missing_ok=True)
