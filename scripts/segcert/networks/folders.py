"""What goes wrong with networks.

What the folders of networks hold, and the digests that name the networks. No torch.
"""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, PositiveInt, model_validator

from segcert.io.json_models import Part, read_document
from segcert.provenance.digests import file_digest, value_digest


class ModelError(ValueError):
    """A network, or a model folder, that cannot be used."""


WEIGHTS, PROGRAM, CONFIG = "model.safetensors", "program.pt", "config.json"  # of a segmenter: one of two, and CONFIG
DENOISER_FILES = ("unet/diffusion_pytorch_model.safetensors", "unet/config.json", "scheduler/scheduler_config.json")


class SegmenterConfig(Part):
    """What config.json says: a program, or an architecture with its arguments; and what the images have to be.

    A default stands for a key that may be missing.
    """

    program: str = ""
    architecture: str = ""
    arguments: dict[str, Any] = Field({})
    image_size: PositiveInt = 1
    in_channels: PositiveInt = 1
    pool: PositiveInt = 1
    classes: list[str] = Field(["background"], min_length=1)

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        lacking = {"architecture", "arguments"} - self.model_fields_set
        if lacking and "program" not in self.model_fields_set:
            raise ValueError(f"lacks {min(lacking)}")
        return self


def segmenter_files(folder: str | Path) -> list[Path]:
    """The files that make up a segmenter: weights or program, and config. Raises ModelError if one is missing."""
    folder = Path(folder)
    files = [folder / (PROGRAM if is_program(folder) else WEIGHTS), folder / CONFIG]
    for path in files:
        if not path.is_file():
            kinds = f"{WEIGHTS} and {CONFIG}, or {PROGRAM} and {CONFIG}"
            raise ModelError(f"{path}: missing; a segmenter's folder holds {kinds}")
    return files


def read_config(path: Path) -> dict[str, Any]:
    """The config.json of a segmenter. Raises ModelError for a file that is none."""
    return read_document(path, SegmenterConfig, ModelError, "describes no segmenter", "train it again")


def is_program(folder: str | Path) -> bool:
    """Whether the segmenter of a folder is a program, which is code. Raises ModelError for a damaged config.json."""
    config = Path(folder) / CONFIG
    return config.is_file() and "program" in read_config(config)


def segmenter_digest(folder: str | Path) -> str:
    """SHA-256 over what a segmenter computes with: weights (or program) and configuration."""
    return value_digest({path.name: file_digest(path) for path in segmenter_files(folder)})


def denoiser_digest(folder: str | Path | None, steps: int = 1) -> str | None:
    """SHA-256 over what a denoiser computes with: weights, configuration, noise schedule and number of steps."""
    if folder is None:
        return None
    return value_digest({name: file_digest(Path(folder, name)) for name in DENOISER_FILES} | {"steps": steps})
