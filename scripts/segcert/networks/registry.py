"""Segmenters by name, on disk as model.safetensors (or a program) and config.json."""

import functools
import importlib
import inspect
import json
import math
import sysconfig
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from segcert.io.atomic import atomic_file
from segcert.networks.architectures import ARCHITECTURES
from segcert.networks.exported import load_program
from segcert.networks.folders import CONFIG, WEIGHTS, ModelError, read_config, segmenter_files

NAMED = 3  # tensors that an error names
LARGEST = 10_000  # argument of a built-in architecture
ALWAYS = 1 << 26  # weights that are made before their file is looked at
CHECKED_BATCH = 2


def build_segmenter(architecture: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A new network: a registered architecture, or `package.module:factory`, called with keyword arguments.

    The factory is a class of networks or a function that returns one, that can be imported and gives a torch network
    from images (B, C, H, W) to logits (B, num_classes, H, W), such as `monai.networks.nets:UNet`. Raises ModelError for
    one that is not known, cannot be imported, says it gives something else, or does not take the arguments. Of what is
    installed nothing is called but what says that it gives a network: the name may come with a model folder of others.
    """
    factory = _imported(architecture) if ":" in architecture else _built_in(architecture)
    if factory is None:
        raise ModelError(
            f"architecture {architecture!r} is not known; expected one of {', '.join(ARCHITECTURES)}, or "
            "package.module:factory"
        )
    try:
        model = factory(**arguments)
    except Exception as error:  # a network of others' raises what it likes
        raise ModelError(
            f"architecture {architecture!r}: cannot be built with {dict(arguments)} ({error}); correct its arguments"
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"architecture {architecture!r}: gave a {type(model).__name__}; expected a torch.nn.Module. Write the name "
            "of a class derived from it, or of a function that returns one"
        )
    return model


def save_segmenter(folder: str | Path, model: nn.Module, config: Mapping[str, Any]) -> None:
    """Write a segmenter; `config` holds `architecture`, `arguments`, `classes` and what else describes it."""
    save_weights(Path(folder) / WEIGHTS, model)
    write_config(folder, config)


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the state dict of a network to a safetensors file; what it shares stands there under each of its names."""
    own_memory = torch.contiguous_format
    state = {name: tensor.clone(memory_format=own_memory) for name, tensor in model.state_dict().items()}
    with atomic_file(path) as temporary:
        save_file(state, temporary)


def write_config(folder: str | Path, config: Mapping[str, Any]) -> None:
    """Write what describes the segmenter of a folder."""
    with atomic_file(Path(folder) / CONFIG) as path:
        path.write_text(json.dumps(config, indent=2) + "\n")


def input_channels(config: Mapping[str, Any]) -> int:
    """Channels of the images that a segmenter takes, as its config says. Raises ModelError if it does not."""
    channels = config.get("in_channels", config.get("arguments", {}).get("in_channels"))
    if not isinstance(channels, int):
        raise ModelError(f"{CONFIG}: says nothing of in_channels; train the segmenter again")
    return channels


def load_segmenter(folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """A segmenter in eval mode, and its config. Raises ModelError if its files do not belong together."""
    folder = Path(folder)
    held, about = segmenter_files(folder)
    config = read_config(about)
    if "program" in config:
        program = load_program(held)
        if program.kind != config["program"]:
            raise ModelError(
                f"{held}: found a program of {program.kind}; expected one of {config['program']}, as {about} says. "
                "Import it again"
            )
        return program, config
    try:
        _require_room(config, held)
        model = build_segmenter(config["architecture"], config["arguments"])
    except ModelError as error:
        raise ModelError(f"{about}: {error}") from error
    try:
        fill(model, load_file(held))
    except (ModelError, SafetensorError) as error:
        raise ModelError(
            f"{held}: does not fit {about} ({error}); train it again, or put back the config.json that it came with"
        ) from error
    return model.eval(), config


def _require_room(config: Mapping[str, Any], weights: Path) -> None:
    """Raise ModelError for a built-in architecture of more weights than their file can hold, before they are made."""
    factory = _built_in(config["architecture"])
    if factory is None:
        return
    try:
        if any(isinstance(value, int) and value > LARGEST for value in config["arguments"].values()):
            raise ValueError(f"more than {LARGEST}")
        with torch.device("meta"):
            state = factory(**config["arguments"]).state_dict()
    except Exception as error:
        raise ModelError(f"cannot be built with {config['arguments']} ({error}); correct its arguments") from error
    size = sum(math.prod(tensor.shape) for tensor in state.values())
    if size > max(weights.stat().st_size, ALWAYS):  # a weight takes a byte at least
        raise ModelError(f"describes {size} weights, more than {weights.name} can hold")


def fill(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state dict, of which tensors that the network shares may be left out.

    Raises ModelError, naming the first tensors that are missing, unexpected, or of another shape.
    """
    expected = model.state_dict()
    held = {_memory(tensor) for name, tensor in expected.items() if name in state}
    missing = [name for name, tensor in expected.items() if name not in state and _memory(tensor) not in held]
    unexpected = sorted(state.keys() - expected.keys())
    of_another_shape = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    problems = {"missing": missing, "unexpected": unexpected, "of another shape": of_another_shape}
    if any(problems.values()):
        told = []
        for kind, names in problems.items():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            if names:
                told.append(f"{kind}: {', '.join(names[:NAMED])}{more}")
        raise ModelError("; ".join(told))
    model.load_state_dict(state, strict=False)


def _memory(tensor: Tensor) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.shape, tensor.stride()


def _built_in(architecture: str) -> Callable[..., nn.Module] | None:
    """The class of a built-in network; None for another name.

    Its module is loaded by name, so that the code of a job holds the network that it runs and no other.
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
    except Exception as error:  # a module of others' raises what it likes
        raise ModelError(
            f"architecture {target!r}: cannot be imported ({error}). Write package.module:factory, such as "
            "monai.networks.nets:UNet, and install the package, or add its folder to PYTHONPATH"
        ) from error
    if not callable(found):
        raise ModelError(
            f"architecture {target!r}: is a {type(found).__name__}; expected a class or function that gives a network"
        )
    if not _gives_networks(found):
        raise ModelError(
            f"architecture {target!r}: is not known to give a network, and is not called. Name a class derived from "
            "torch.nn.Module, or a function that says so: `def factory(...) -> torch.nn.Module:`"
        )
    factory_found: Callable[..., Any] = found
    return factory_found


def _gives_networks(factory: Callable[..., Any]) -> bool:
    """Whether it is a class of networks, or a function of networks: by its annotation, or one's own without any."""
    gives: Any = factory
    if inspect.isfunction(factory):
        if "return" not in factory.__annotations__:  # one's own: in a file neither of Python nor of a package
            file, python = Path(factory.__code__.co_filename), Path(sysconfig.get_path("stdlib"))
            installed = {"site-packages", "dist-packages"} & set(file.parts)
            return file.exists() and not installed and not file.is_relative_to(python)
        try:
            gives = typing.get_type_hints(factory)["return"]
        except Exception:  # a name in an annotation that is not there
            return False
    return inspect.isclass(gives) and issubclass(gives, nn.Module)


def check_output(model: nn.Module, what: str, shape: Sequence[int], classes: Sequence[str]) -> None:
    """Run a network in eval mode on images of `shape` (C, H, W).

    Raises ModelError, with `what` for its name, what was found and what was expected, for one that cannot take them,
    that does not give logits of their size with a channel per class, or whose logits of an image change with the other
    images of its batch or from call to call, as they do in train mode.
    """
    parameter = next(model.parameters(), torch.zeros(0))
    images = torch.zeros(CHECKED_BATCH, *shape, device=parameter.device)
    companions = images.clone()
    companions[1:] = 1.0
    try:
        with torch.inference_mode():
            logits, beside_others = model(images), model(companions)
    except Exception as error:  # a network of others' raises what it likes; of TorchScript the last line says what
        last = str(error).strip().rpartition("\n")[2]
        raise ModelError(
            f"{what}: cannot take images of shape {tuple(images.shape)} ({last}). Take a network for this number of "
            "channels, and an `image_size` that it can halve as often as it does"
        ) from error
    expected = (CHECKED_BATCH, len(classes), *shape[1:])
    found = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
    if found != expected:
        raise ModelError(
            f"{what}: gives {found} for images of shape {tuple(images.shape)}; expected logits {expected}, a channel "
            f"for each of the classes {', '.join(classes)}. Give a network with these classes, in this order, whose "
            "forward returns the logits alone"
        )
    if not torch.allclose(logits[0], beside_others[0], rtol=1e-3, atol=1e-4):
        raise ModelError(
            f"{what}: its logits of an image change from call to call, or with the other images of the batch; "
            "expected a network in eval mode. Call model.eval() before you export it"
        )
