"""Read checkpoints, which are files of weights that other programs wrote. Only tensors are read from them.

Programs save weights in different ways: as a plain state dict, under a key of a larger dictionary (such as
`state_dict`, `model` or `ema`), or with a prefix that a wrapper adds (`module.`, `model.`). This module reads all of
these as one flat dict of tensors with dotted names. segcert.networks.matching finds a network's weights in this dict.
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

DEEPEST = 16  # maximum number of levels of nested dictionaries that are read
MOST_TYPES = 100  # largest number of foreign types in a file
OPTIMIZER = "optim"  # keys with this prefix contain the state of an optimizer, not weights
SHOWN = 6  # largest number of entries that an error message lists
SAVE = "torch.save(model.state_dict(), path)"
FOREIGN = re.compile(r"GLOBAL (\S+) was not an allowed global")
REFUSED_TYPE = re.compile(r"got <class 'foreign\.(.+)'>")
# The first bytes of other kinds of files, and what an error message says about each kind
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
    """A tensor in a checkpoint, and its place: the keys that lead to its dictionary, joined by dots."""

    tensor: Tensor
    place: str


class Foreign:
    """A stand-in for an object of a type that torch does not load, such as a saved setting.

    It ignores its arguments and its state.
    """

    def __new__(cls, *_arguments: Any) -> Any:
        return super().__new__(cls)

    def __init__(self, *_arguments: Any) -> None:
        """Ignore the arguments."""

    def __setstate__(self, _state: Any) -> None:
        """Ignore the state."""


class ForeignDict(Foreign):
    """A stand-in for a dictionary of a type that torch does not load, such as Lightning's hyperparameters."""

    def __new__(cls, *_arguments: Any) -> Any:
        return OrderedDict()


class ForeignList(Foreign):
    """A stand-in for a list of a type that torch does not load."""

    def __new__(cls, *_arguments: Any) -> Any:
        return []


def read_checkpoint(source: str | Path) -> dict[str, Found]:
    """Read every tensor in a file that was written by torch.save or safetensors. The file may have any suffix.

    Only tensors are unpickled. An object of any other type, such as a saved setting, is replaced by an empty stand-in,
    so no code of its type is run.

    Returns
    -------
    dict
        Maps the name of each tensor (the keys that lead to it, joined by dots) to the tensor. The state of an optimizer
        is left out.

    Raises
    ------
    ModelError
        If the file cannot be read or contains no named tensors. The message describes what was found instead.
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
    """Load a file that was written by torch.save or safetensors. Raises ModelError for any other file.

    The kind of file is recognised by its first bytes.
    """
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
    except Exception as error:  # torch's unpickler and zip reader raise many kinds of errors for other content
        raise ModelError(
            f"{source}: cannot be read as a file of tensors ({type(error).__name__}). If it is complete, save the "
            f"weights again with {SAVE}, or set `program` to a TorchScript or torch.export file"
        ) from error


def _members(source: Path) -> list[str]:
    """Return the names of the files in a zip archive. The list is empty for any other file and a damaged archive."""
    try:
        with zipfile.ZipFile(source) as archive:
            return archive.namelist()
    except Exception:  # zipfile raises many kinds of errors for a damaged archive
        return []


def _unpickled(source: Path) -> Any:
    """Load only the tensors in a file that torch.save wrote. Objects of other types are replaced by stand-ins."""
    stand_ins: dict[str, type[Foreign]] = {}
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(source)
    except ValueError:  # a file from before torch 1.6, whose types are found while loading
        names = []
    for name in names[:MOST_TYPES]:
        stand_ins[name] = _stand_in(name, Foreign)
    for _ in range(MOST_TYPES):
        try:
            known = torch.serialization.safe_globals([(kind, name) for name, kind in stand_ins.items()])
            with known, source.open("rb") as file:  # given a path, torch would choose the reader by its suffix
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
    """Return a stand-in for the type that is called `name`. Error messages about the stand-in show this name."""
    return type(name, (kind,), {"__module__": "foreign", "__qualname__": name})


def _tensors(content: Any, place: str, seen: set[int]) -> Iterator[tuple[str, Found]]:
    """Yield the name and the value of each tensor in nested dictionaries.

    `seen` contains the ids of the dictionaries that have already been read. A dictionary that is saved under two names
    is therefore read only once.
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
