"""Networks that were trained elsewhere, taken into a model folder as they are."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from segcert.io.atomic import atomic_file
from segcert.networks.exported import load_program
from segcert.networks.folders import PROGRAM, ModelError
from segcert.networks.registry import build_segmenter, check_output, fill, save_segmenter, write_config
from segcert.provenance.digests import file_digest


def import_given(
    source: str | Path,
    folder: str | Path,
    *,
    architecture: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    classes: Sequence[str],
    in_channels: int,
    image_size: int,
    pool: int = 1,
    target_code: str | None = None,
) -> None:
    """Write a network that was trained elsewhere to a model folder, once it has shown that it fits the data.

    Parameters
    ----------
    source
        Without `architecture`, a TorchScript or torch.export file. With it, a state dict: `.safetensors`, or a file by
        torch.save, by itself or under the key "state_dict"; "module." in front of all names is left out.
    architecture, arguments
        As in segcert.networks.registry.build_segmenter.
    classes, in_channels, image_size
        Names of the data's classes, background included; channels, and height and width in pixels, of its images.
    pool
        The network sees images averaged over pool x pool pixels.
    target_code
        Digest of the code of an architecture of one's own: it is a part of the config, and so of what names votes.

    Raises ModelError, naming the file, what was found and what was expected, for a file that cannot be read, weights
    that do not fit, a network that gives no logits of the size of the images, a channel per class, and one whose
    logits of an image change with the other images of its batch or from call to call, as they do in train mode.
    """
    source, folder = Path(source), Path(folder)
    shape = (in_channels, image_size // pool, image_size // pool)
    about = {
        "classes": list(classes),
        "in_channels": in_channels,
        "image_size": image_size,
        "pool": pool,
        "pixel_range": [0, 1],
        "regime": "given",
        "target_code": target_code,
        "source_digest": file_digest(source) if source.is_file() else None,
    }
    if architecture is None:
        program = load_program(source)
        check_output(program, str(source), shape, classes)
        with atomic_file(folder / PROGRAM) as path:
            shutil.copyfile(source, path)
        write_config(folder, {"program": program.kind, **about})
        return
    model = build_segmenter(architecture, arguments or {}).eval()
    state, names = read_state_dict(source), model.state_dict().keys()
    inner = {name.partition(".")[2]: tensor for name, tensor in state.items()}
    wrappers = {name.partition(".")[0] for name in state}
    if len(wrappers) == 1 and inner.keys() <= names and not state.keys() <= names:
        state = inner  # saved from within a wrapper, DataParallel (`module.`) or Lightning (`model.`)
    try:
        fill(model, state)
    except ModelError as error:
        raise ModelError(
            f"{source}: does not fit {architecture} with {dict(arguments or {})} ({error}). Write the target and "
            "arguments that it was trained with"
        ) from error
    check_output(model, str(source), shape, classes)
    save_segmenter(folder, model, {"architecture": architecture, "arguments": dict(arguments or {}), **about})


def read_state_dict(source: Path) -> dict[str, Tensor]:
    """Tensors by name from a `.safetensors` file or one by torch.save. Nothing but tensors is unpickled.

    Raises ModelError for a file that holds something else.
    """
    try:
        tensors_only = source.suffix == ".safetensors"
        state = load_file(source) if tensors_only else torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"{source}: missing; expected a state dict") from error
    except Exception as error:  # torch's unpickler meets foreign bytes with errors of many kinds
        raise ModelError(
            f"{source}: cannot be read as tensors alone ({type(error).__name__}); nothing else in it is read. Save "
            "torch.save(model.state_dict(), path), or give a TorchScript or torch.export file as `program`"
        ) from error
    if isinstance(state, dict):
        state = state.get("state_dict", state)
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        found = f"a {type(state).__name__}"
        if isinstance(state, dict):
            named = [f"{key!r}: {type(value).__name__}" for key, value in list(state.items())[:3]]
            found = f"a dictionary with {', '.join(named)}"
        raise ModelError(
            f"{source}: found {found}; expected tensors by name. Save torch.save(model.state_dict(), path)"
        )
    tensors: dict[str, Tensor] = state
    return tensors
