"""Checkpoints: files of weights that someone else's program wrote. Only tensors are read from them.

Programs save weights in many ways: bare, in a dictionary with other things (`state_dict`, `model`, `ema`), or with a
prefix from a wrapper (`module.`, `model.`). Here, each of these is read as one list of tensors with dotted names.
segcert.networks.matching finds the network's weights in it.
"""

import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

from segcert.networks.exported import kind_of
from segcert.networks.folders import ModelError

DEEPEST = 16  # levels of nested dictionaries that are read
MOST_TYPES = 100  # largest number of foreign types in a file
OPTIMIZER = "optim"  # keys that begin like this contain no weights of a network
SHOWN = 6  # largest number of entries that an error message lists
SAVE = "torch.save(model.state_dict(), path)"
FOREIGN = re.compile(r"GLOBAL (\S+) was not an allowed global")
REFUSED_TYPE = re.compile(r"got <class 'foreign\.(.+)'>")
# How files of other kinds begin
OTHER_KINDS = {
    b"version https://git-lfs": "is a pointer of Git LFS, not the file itself. Write: git lfs pull",
    b"\x89HDF": "is an HDF5 file, as Keras writes it. segcert runs torch networks only",
    b"<!DOCTYPE": "is a web page, not a file of weights. Download the file itself",
    b"<html": "is a web page, not a file of weights. Download the file itself",
    b"\x1f\x8b": "is compressed with gzip. Unpack it first",
    b"7z\xbc\xaf": "is a 7z archive. Unpack it first",
    b"Rar!": "is a rar archive. Unpack it first",
    b"{": "is JSON, such as the index of weights in several files; expected one file that contains all tensors",
}


class Found(NamedTuple):
    """A tensor in a checkpoint: its value, and the keys of the dictionary that contains it, joined by dots."""

    tensor: Tensor
    place: str


class Foreign:
    """A stand-in for an object of a foreign type, such as a saved setting. It ignores its arguments and its state."""

    def __new__(cls, *_arguments: Any) -> Any:
        return super().__new__(cls)

    def __init__(self, *_arguments: Any) -> None:
        """Ignore the arguments."""

    def __setstate__(self, _state: Any) -> None:
        """Ignore the state."""


class ForeignDict(Foreign):
    """A stand-in for a foreign type of dictionary, such as Lightning's hyperparameters."""

    def __new__(cls, *_arguments: Any) -> Any:
        return OrderedDict()


class ForeignList(Foreign):
    """A stand-in for a foreign type of list."""

    def __new__(cls, *_arguments: Any) -> Any:
        return []


def read_checkpoint(source: str | Path) -> dict[str, Found]:
    """Read every tensor in a file that torch.save or safetensors wrote, whatever its suffix.

    Only tensors are unpickled. An object of any other type, such as a saved setting, is replaced by an empty stand-in:
    no code of its type runs.

    Returns
    -------
    dict
        Maps the name of each tensor (the keys that lead to it, joined by dots) to the tensor. The state of an optimizer
        is left out.

    Raises
    ------
    ModelError
        For a file that cannot be read or contains no named tensors. The message says what was found instead.
    """
    source = Path(source)
    if not source.exists():
        raise ModelError(f"{source}: missing; expected a file of weights (a state dict)")
    if source.is_dir():
        raise ModelError(
            f"{source}: is a folder; expected a file of weights (a state dict). Specify a file in this folder"
        )
    content = _load(source)
    tensors: dict[str, Found] = {}
    for name, found in _tensors(content, "", set()):
        if name in tensors:
            raise ModelError(f"{source}: contains two tensors with the name {name!r}. Save the weights with {SAVE}")
        tensors[name] = found
    if not tensors:
        raise ModelError(f"{source}: found {_described(content)}; expected named tensors. {_advice(content)}")
    return tensors


def _load(source: Path) -> Any:
    """Return the content of a file, recognised by its first bytes. Raises ModelError for any other file."""
    with source.open("rb") as file:
        head = file.read(32)
    for start, other in OTHER_KINDS.items():
        if head.startswith(start):
            raise ModelError(f"{source}: {other}")
    if not head:
        raise ModelError(f"{source}: is empty; get a new copy")
    names = _members(source)
    if names and not any(name.endswith("data.pkl") for name in names) and kind_of(source) is None:
        raise ModelError(
            f"{source}: is a zip archive of {', '.join(names[:SHOWN])}; unpack it and specify one of the files"
        )
    if kind := kind_of(source):
        raise ModelError(
            f"{source}: is a {kind} file, which also contains the network. Set `program` instead of `target` and "
            "`weights`"
        )
    try:
        if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < source.stat().st_size:
            return load_file(source)
        return _unpickled(source)
    except Exception as error:  # torch's unpickler and zip reader raise many kinds of errors for foreign bytes
        raise ModelError(
            f"{source}: cannot be read as a file of tensors ({type(error).__name__}). If it is complete, save the "
            f"weights again with {SAVE}, or set `program` to a TorchScript or torch.export file"
        ) from error


def _members(source: Path) -> list[str]:
    """Return the names of the files in a zip archive. The list is empty for every other file and for a damaged one."""
    try:
        with zipfile.ZipFile(source) as archive:
            return archive.namelist()
    except Exception:  # zipfile raises many kinds of errors for a damaged archive
        return []


def _unpickled(source: Path) -> Any:
    """Load only the tensors in a file that torch.save wrote. Foreign types are replaced by stand-ins one by one."""
    stand_ins: dict[str, type[Foreign]] = {}
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(source)
    except ValueError:  # the format before torch 1.6: its types are found while loading
        names = []
    for name in names[:MOST_TYPES]:
        stand_ins[name] = _stand_in(name, Foreign)
    for _ in range(MOST_TYPES):
        try:
            known = torch.serialization.safe_globals([(kind, name) for name, kind in stand_ins.items()])
            with known, source.open("rb") as file:  # a path's suffix would choose the reader
                return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            unknown, refused = FOREIGN.search(str(error)), REFUSED_TYPE.search(str(error))
            if unknown and unknown[1] not in stand_ins:
                for name in (unknown[1], f"builtins.{unknown[1]}"):
                    stand_ins[name] = _stand_in(name, Foreign)
            elif refused and stand_ins.get(refused[1], ForeignDict).__base__ is Foreign:
                kind = ForeignDict if "Can only SETITEM" in str(error) else ForeignList
                stand_ins[refused[1]] = _stand_in(refused[1], kind)
            else:
                raise
    raise ValueError(f"more than {MOST_TYPES} foreign types")


def _stand_in(name: str, kind: type[Foreign]) -> type[Foreign]:
    """Return a stand-in for the type with this name. The stand-in's printed form shows the name."""
    return type(name, (kind,), {"__module__": "foreign", "__qualname__": name})


def _tensors(content: Any, place: str, seen: set[int]) -> Iterator[tuple[str, Found]]:
    """Yield the name of each tensor in nested dictionaries, and the tensor. `seen`: ids of dictionaries already read.

    A dictionary that is saved under two names is read once.
    """
    if not isinstance(content, Mapping) or id(content) in seen or place.count(".") > DEEPEST:
        return
    seen.add(id(content))
    for key, value in content.items():
        name = f"{place}.{key}" if place else str(key)
        if isinstance(value, Tensor) and isinstance(key, str):
            yield name, Found(value, place)
        elif not str(key).lower().startswith(OPTIMIZER):
            yield from _tensors(value, name, seen)


def _described(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"a {_type_of(content)}"
    named = [f"{key!r}: {_type_of(value)}" for key, value in list(content.items())[:SHOWN]]
    more = f" and {len(content) - SHOWN} more" if len(content) > SHOWN else ""
    return f"a dictionary with {', '.join(named)}{more}" if named else "an empty dictionary"


def _type_of(value: Any) -> str:
    return type(value).__qualname__


def _advice(content: Any) -> str:
    values = [content, *(content.values() if isinstance(content, Mapping) else ())]
    if any(isinstance(value, Foreign) for value in values):
        return f"A pickled network is code and is not loaded. In the program that trained it, write {SAVE}"
    return f"Write {SAVE}"
