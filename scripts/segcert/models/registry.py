"""Segmenters by name, on disk as model.safetensors and config.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from segcert.models.unet import UNet
from segcert.provenance.atomic import atomic_file

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {"unet": UNet}


class ModelError(ValueError):
    """A model folder that cannot be used."""


def build_segmenter(architecture: str, arguments: dict[str, Any]) -> nn.Module:
    """A new network of a registered architecture."""
    if architecture not in ARCHITECTURES:
        raise ModelError(f"architecture {architecture!r} is not known; expected one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[architecture](**arguments)


def save_segmenter(folder: str | Path, model: nn.Module, config: dict[str, Any]) -> None:
    """Write a segmenter; `config` holds `architecture`, `arguments`, `classes` and what else describes it."""
    with atomic_file(Path(folder) / "model.safetensors") as path:
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    with atomic_file(Path(folder) / "config.json") as path:
        path.write_text(json.dumps(config, indent=2) + "\n")


def load_segmenter(folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """A segmenter in eval mode, and its config. Raises ModelError if weights and config do not belong together."""
    folder = Path(folder)
    for name in ("model.safetensors", "config.json"):
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name}: missing; a segmenter's folder holds model.safetensors and config.json")
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        model = build_segmenter(config["architecture"], config["arguments"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / 'config.json'}: describes no segmenter ({error!r}); train it again") from error
    try:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (RuntimeError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"{folder / 'model.safetensors'}: does not fit {folder / 'config.json'} ({error}); train it again"
        ) from error
    return model.eval(), config
