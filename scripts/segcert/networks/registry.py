"""Build segmenters by name, and save and load the folders that contain them."""

import functools
import importlib
import inspect
import json
import math
import sysconfig
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from segcert.io.atomic import atomic_file
from segcert.networks.architectures import ARCHITECTURES
from segcert.networks.checkpoints import Found
from segcert.networks.exported import load_exported
from segcert.networks.folders import CONFIG, WEIGHTS, ModelError, read_config, segmenter_files
from segcert.networks.matching import fill_from_checkpoint

LARGEST = 10_000  # largest value of an argument of a built-in architecture
ALWAYS = 1 << 26  # number of weights that may always be allocated, regardless of the size of their file


def build_segmenter(architecture: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a new network from a built-in architecture or a `package.module:factory`, with keyword arguments.

    The factory is an importable torch.nn.Module class or a function that returns a torch.nn.Module, such as
    `monai.networks.nets:UNet`. The network maps images of shape (B, C, H, W) to logits of shape (B, num_classes, H, W).
    The name of the architecture may come from a model folder that someone else made. Therefore, an installed function
    is called only if its annotation declares that it returns a network.

    Raises ModelError for an architecture that does not exist, cannot be imported, is declared to return anything but a
    network, or does not accept the arguments.
    """
    factory = _imported(architecture) if ":" in architecture else _built_in(architecture)
    if factory is None:
        raise ModelError(
            f"architecture: found {architecture!r}; expected one of {', '.join(ARCHITECTURES)}, or "
            "package.module:factory"
        )
    try:
        model = factory(**arguments)
    except Exception as error:  # a user-supplied network can raise anything
        raise ModelError(
            f"architecture {architecture!r}: cannot be built with {dict(arguments)} ({error}); correct its arguments"
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"architecture {architecture!r}: returned a {type(model).__name__}; expected a torch.nn.Module. Name a "
            "subclass of torch.nn.Module, or a function that returns a network"
        )
    if any(each.is_floating_point() and each.dtype != torch.float32 for each in model.parameters()):
        model = model.float()  # images and weights are float32
    return model


def save_segmenter(folder: str | Path, model: nn.Module, config: Mapping[str, Any]) -> None:
    """Write a segmenter to `folder`. `config` contains `architecture`, `arguments`, `classes` and other keys."""
    save_weights(Path(folder) / WEIGHTS, model)
    write_config(folder, config)


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the state dict of a network to a safetensors file. A shared tensor is written under each of its names."""
    own_memory = torch.contiguous_format
    state = {name: tensor.clone(memory_format=own_memory) for name, tensor in model.state_dict().items()}
    with atomic_file(path) as temporary:
        save_file(state, temporary)


def write_config(folder: str | Path, config: Mapping[str, Any]) -> None:
    """Write the config.json of a segmenter."""
    with atomic_file(Path(folder) / CONFIG) as path:
        path.write_text(json.dumps(config, indent=2) + "\n")


def input_channels(config: Mapping[str, Any]) -> int:
    """Return the number of input channels that a segmenter's config.json states. Raises ModelError if it is missing."""
    channels = config.get("in_channels", config.get("arguments", {}).get("in_channels"))
    if not isinstance(channels, int):
        raise ModelError(f"{CONFIG}: `in_channels` is missing; train the segmenter again")
    return channels


def load_segmenter(folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Load a segmenter, in eval mode, and the content of its config.json.

    Raises ModelError if a file is missing or invalid, or if the files contradict each other.
    """
    folder = Path(folder)
    weights, about = segmenter_files(folder)
    config = read_config(about)
    if "program" in config:
        exported = load_exported(weights)
        if exported.kind != config["program"]:
            raise ModelError(
                f"{weights}: found a {exported.kind} file; expected {config['program']}, according to {about}. "
                "Import the network again, or correct `program` in a config.json that you wrote"
            )
        return exported, config
    try:
        _require_room(config, weights)
        model = build_segmenter(config["architecture"], config["arguments"])
    except ModelError as error:
        raise ModelError(f"{about}: {error}") from error
    advice = "Train it again, or restore its original config.json"
    try:
        tensors = {name: Found(tensor, "") for name, tensor in load_file(weights).items()}
        fill_from_checkpoint(model, tensors, str(about), advice)
    except SafetensorError as error:
        raise ModelError(f"{weights}: does not fit {about} ({error}). {advice}") from error
    except ModelError as error:
        raise ModelError(f"{weights}: {error}") from error
    return model.eval(), config


def _require_room(config: Mapping[str, Any], weights: Path) -> None:
    """Raise ModelError if a built-in architecture has more weights than the file can contain.

    This is checked without allocating memory for the weights.
    """
    factory = _built_in(config["architecture"])
    if factory is None:
        return
    try:
        if any(isinstance(value, int) and value > LARGEST for value in config["arguments"].values()):
            raise ValueError(f"an argument is above {LARGEST}")
        with torch.device("meta"):
            state = factory(**config["arguments"]).state_dict()
    except Exception as error:
        raise ModelError(
            f"architecture {config['architecture']!r}: cannot be built with {config['arguments']} ({error}); correct "
            "its arguments"
        ) from error
    size = sum(math.prod(tensor.shape) for tensor in state.values())
    if size > max(weights.stat().st_size, ALWAYS):  # a weight takes at least one byte
        raise ModelError(
            f"the network has {size} weights, which is more than {weights.name} can contain; correct `arguments`"
        )


def _built_in(architecture: str) -> Callable[..., nn.Module] | None:
    """Return the class of a built-in network, or None for any other name.

    The network's module is loaded by name, so a job's code digest covers only the network that the job runs.
    """
    if architecture not in ARCHITECTURES:
        return None
    module = importlib.import_module(f"segcert.networks.{architecture}")
    network: Callable[..., nn.Module] = getattr(module, ARCHITECTURES[architecture].class_name)
    return network


def _imported(target: str) -> Callable[..., Any]:
    module, _, factory = target.partition(":")
    try:
        found: Any = functools.reduce(getattr, factory.split("."), importlib.import_module(module))
    except Exception as error:  # a user-supplied module can raise anything
        raise ModelError(
            f"architecture {target!r}: cannot be imported ({error}). Write package.module:factory, such as "
            "monai.networks.nets:UNet. Install the package, or add its folder to PYTHONPATH"
        ) from error
    if not callable(found):
        raise ModelError(
            f"architecture {target!r}: is of type {type(found).__name__}; expected a class or a function that "
            "returns a network"
        )
    if not _returns_network(found):
        raise ModelError(
            f"architecture {target!r}: is not declared to return a network, so it is not called. Name a subclass of "
            "torch.nn.Module, or a function with an annotation: `def factory(...) -> torch.nn.Module:`"
        )
    factory_found: Callable[..., Any] = found
    return factory_found


def _returns_network(factory: Callable[..., Any]) -> bool:
    """Return True for a class of networks, and for a function that is known to return a network.

    The annotation of the return value must be a class of networks. A function that a user wrote may have no annotation.
    """
    returns: Any = factory
    if inspect.isfunction(factory):
        if "return" not in factory.__annotations__:  # a user's function is not in Python's library or site-packages
            file, python = Path(factory.__code__.co_filename), Path(sysconfig.get_path("stdlib"))
            installed = {"site-packages", "dist-packages"} & set(file.parts)
            return file.exists() and not installed and not file.is_relative_to(python)
        try:
            returns = typing.get_type_hints(factory)["return"]
        except Exception:  # the annotation contains an undefined name
            return False
    return inspect.isclass(returns) and issubclass(returns, nn.Module)
