"""What the folders of networks hold, and the digests that name the networks. No torch."""

import json
from pathlib import Path
from typing import Any

from segcert.models.errors import ModelError
from segcert.provenance.digests import file_digest, value_digest

WEIGHTS, PROGRAM, CONFIG = "model.safetensors", "program.pt", "config.json"  # of a segmenter: one of two, and CONFIG
DENOISER_FILES = ("unet/diffusion_pytorch_model.safetensors", "unet/config.json", "scheduler/scheduler_config.json")


def segmenter_files(folder: str | Path) -> list[Path]:
    """The files that make up a segmenter: weights or program, and config. Raises ModelError if one is missing."""
    folder = Path(folder)
    kinds = f"{WEIGHTS} and {CONFIG}, or {PROGRAM} and {CONFIG}"
    config = folder / CONFIG
    held = folder / (PROGRAM if config.is_file() and "program" in read_config(config) else WEIGHTS)
    for path in (held, config):
        if not path.is_file():
            raise ModelError(f"{path}: missing; a segmenter's folder holds {kinds}")
    return [held, config]


def read_config(path: Path) -> dict[str, Any]:
    """The config.json of a segmenter. Raises ModelError for a file that is none."""
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise ModelError(f"{path}: describes no segmenter ({error!r}); train it again") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path}: describes no segmenter (found a {type(config).__name__}); train it again")
    return config


def segmenter_digest(folder: str | Path) -> str:
    """SHA-256 over what a segmenter computes with: weights (or program) and configuration."""
    return value_digest({path.name: file_digest(path) for path in segmenter_files(folder)})


def denoiser_digest(folder: str | Path | None, steps: int = 1) -> str | None:
    """SHA-256 over what a denoiser computes with: weights, configuration, noise schedule and number of steps."""
    if folder is None:
        return None
    return value_digest({name: file_digest(Path(folder, name)) for name in DENOISER_FILES} | {"steps": steps})
