"""Import of pretrained networks: networks that were trained elsewhere are written to a model folder unchanged."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segcert.io.atomic import atomic_file
from segcert.io.progress import log
from segcert.networks.checkpoints import read_checkpoint
from segcert.networks.exported import load_exported
from segcert.networks.folders import PROGRAM, ModelError
from segcert.networks.matching import fill_from_checkpoint
from segcert.networks.probe import check_output
from segcert.networks.registry import build_segmenter, save_segmenter, write_config
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
    weights_key: str | None = None,
) -> None:
    """Write a pretrained network to a model folder, after checking that it fits the data.

    Parameters
    ----------
    source
        A TorchScript or torch.export file if `architecture` is None. Otherwise, a file written by safetensors or
        torch.save that contains the network's state dict. The state dict may be inside other dictionaries, and its
        names may have a prefix: see segcert.networks.matching.match.
    architecture, arguments
        See segcert.networks.registry.build_segmenter. None for an exported network.
    classes
        Names of the data's classes, including the background.
    in_channels
        Number of channels of the images.
    image_size
        Height and width of the images in pixels.
    preprocessing
        Values for segcert.networks.folders.Preprocessing, which describe how an image file is converted to an input.
    pool
        Images are averaged over blocks of pool x pool pixels before the network gets them.
    target_code
        Code digest of a user-supplied architecture. It is written to config.json, so that votes from different code are
        not reused.
    weights_key
        Prefix of the weights to use, if the file contains several sets of weights that fit. The prefix consists of keys
        and names joined by dots.

    Raises
    ------
    ModelError
        If the file cannot be read, if the weights do not fit, or if `check_output` rejects the network. The message
        names the file, and says what was found and what was expected.
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
    what, advice = f"{architecture} with {dict(arguments or {})}", "Set the target and the arguments of its training"
    tensors = read_checkpoint(source)
    try:
        key = fill_from_checkpoint(model, tensors, what, advice, weights_key)
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from error
    if key:
        about["weights_key"] = key
        log.info("%s: the weights are stored under the key %s", source, key)
    check_output(model, str(source), shape, classes)
    save_segmenter(folder, model, {"architecture": architecture, "arguments": dict(arguments or {}), **about})
