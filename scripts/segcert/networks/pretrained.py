"""Import of pretrained networks. A network that was trained elsewhere is written to a model folder unchanged."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from segcert.io.atomic import atomic_file
from segcert.networks.exported import load_exported
from segcert.networks.folders import PROGRAM, ModelError
from segcert.networks.probe import check_output
from segcert.networks.registry import build_segmenter, save_segmenter, write_config
from segcert.networks.weights import fill
from segcert.provenance.digests import file_digest


def import_pretrained(
    source: str | Path,
    folder: str | Path,
    *,
    architecture: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    classes: Sequence[str],
    in_channels: int,
    image_size: int,
    preprocessing: Mapping[str, Any],
    pool: int = 1,
    target_code: str | None = None,
) -> None:
    """Write a pretrained network to a model folder, after checking that it fits the data.

    Parameters
    ----------
    source
        A TorchScript or torch.export file if `architecture` is None. Otherwise a state dict: a `.safetensors` file, or
        a file written by torch.save that contains the state dict or a dictionary with the key "state_dict". A prefix
        that all names share, such as "module.", is removed.
    architecture, arguments
        See segcert.networks.registry.build_segmenter. None for an exported network.
    classes
        Names of the data's classes, including the background.
    in_channels
        Number of channels of the images.
    image_size
        Height and width of the images in pixels.
    preprocessing
        Values for segcert.networks.folders.Preprocessing, which describe how an image file becomes an input.
    pool
        Images are averaged over blocks of pool x pool pixels before the network gets them.
    target_code
        Code digest of a user-supplied architecture. It is written to config.json, so votes of changed code are not
        reused.

    Raises
    ------
    ModelError
        For a file that cannot be read, weights that do not fit, or a network that `check_output` rejects. The message
        names the file and says what was found and what was expected.
    """
    source, folder = Path(source), Path(folder)
    shape = (in_channels, image_size // pool, image_size // pool)
    about = {
        "classes": list(classes),
        "in_channels": in_channels,
        "image_size": image_size,
        "preprocessing": dict(preprocessing),
        "pool": pool,
        "pixel_range": [0, 1],
        "regime": "given",
        "target_code": target_code,
        "source_digest": file_digest(source) if source.is_file() else None,
    }
    if architecture is None:
        exported = load_exported(source)
        check_output(exported, str(source), shape, classes)
        with atomic_file(folder / PROGRAM) as path:
            shutil.copyfile(source, path)
        write_config(folder, {"program": exported.kind, **about})
        return
    model = build_segmenter(architecture, arguments or {}).eval()
    state, names = read_state_dict(source), model.state_dict().keys()
    inner = {name.partition(".")[2]: tensor for name, tensor in state.items()}
    wrappers = {name.partition(".")[0] for name in state}
    if len(wrappers) == 1 and inner.keys() <= names and not state.keys() <= names:
        state = inner  # saved from a wrapper: DataParallel (`module.`) or Lightning (`model.`)
    try:
        fill(model, state)
    except ModelError as error:
        raise ModelError(
            f"{source}: does not fit {architecture} with {dict(arguments or {})} ({error}). Set the target and the "
            "arguments with which the network was trained"
        ) from error
    check_output(model, str(source), shape, classes)
    save_segmenter(folder, model, {"architecture": architecture, "arguments": dict(arguments or {}), **about})


def read_state_dict(source: Path) -> dict[str, Tensor]:
    """Read named tensors from a `.safetensors` file or a file written by torch.save. Only tensors are unpickled.

    Raises ModelError for a file that contains anything but named tensors.
    """
    try:
        tensors_only = source.suffix == ".safetensors"
        state = load_file(source) if tensors_only else torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"{source}: missing; expected a state dict") from error
    except Exception as error:  # torch's unpickler raises many kinds of errors for foreign bytes
        raise ModelError(
            f"{source}: cannot be read as a file of tensors ({type(error).__name__}). Save the weights with "
            "torch.save(model.state_dict(), path), or set `program` to a TorchScript or torch.export file"
        ) from error
    if isinstance(state, dict):
        state = state.get("state_dict", state)
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        found = f"a {type(state).__name__}"
        if isinstance(state, dict):
            named = [f"{key!r}: {type(value).__name__}" for key, value in list(state.items())[:3]]
            found = f"a dictionary with {', '.join(named)}"
        raise ModelError(
            f"{source}: found {found}; expected named tensors, as torch.save(model.state_dict(), path) writes them"
        )
    tensors: dict[str, Tensor] = state
    return tensors
