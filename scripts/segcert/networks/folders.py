"""What goes wrong with networks.

What the folders of networks hold, and the digests that name the networks. No torch.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from segcert.io.json_files import parse_json
from segcert.provenance.digests import file_digest, value_digest


class ModelError(ValueError):
    """A network, or a model folder, that cannot be used."""


WEIGHTS, PROGRAM, CONFIG = "model.safetensors", "program.pt", "config.json"  # of a segmenter: one of two, and CONFIG
DENOISER_FILES = ("unet/diffusion_pytorch_model.safetensors", "unet/config.json", "scheduler/scheduler_config.json")


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


FIELDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("program", "architecture"), _text),
    **dict.fromkeys(("image_size", "in_channels", "pool"), _count),
    "arguments": lambda value: isinstance(value, dict),
    "classes": lambda value: isinstance(value, list) and bool(value) and all(map(_text, value)),
}


def segmenter_files(folder: str | Path) -> list[Path]:
    """The files that make up a segmenter: weights or program, and config. Raises ModelError if one is missing."""
    folder = Path(folder)
    kinds = f"{WEIGHTS} and {CONFIG}, or {PROGRAM} and {CONFIG}"
    config = folder / CONFIG
    held = folder / (PROGRAM if is_program(folder) else WEIGHTS)
    for path in (held, config):
        if not path.is_file():
            raise ModelError(f"{path}: missing; a segmenter's folder holds {kinds}")
    return [held, config]


def read_config(path: Path) -> dict[str, Any]:
    """The config.json of a segmenter. Raises ModelError for a file that is none."""
    try:
        config = parse_json(path.read_bytes())
        if not isinstance(config, dict):
            raise ValueError(f"found a {type(config).__name__}")
        if lacking := () if "program" in config else {"architecture", "arguments"} - config.keys():
            raise ValueError(f"lacks {min(lacking)}")
        if wrong := [name for name, holds in FIELDS.items() if name in config and not holds(config[name])]:
            raise ValueError(f"{wrong[0]}: found {config[wrong[0]]!r}")
    except ValueError as error:
        raise ModelError(f"{path}: describes no segmenter ({error}); train it again") from error
    return config


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
