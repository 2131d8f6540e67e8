"""Arrays by name in one compressed `.npz` file, without pickle. Files are hostile until shown otherwise."""

import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt
import psutil

from segcert.io.atomic import atomic_file

KINDS = "biufU"  # of numpy's types: truth values, integers, floats, text
ENDING = ".npy"
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class ArraysError(ValueError):
    """A file that is no whole file of arrays; the message says why, and names it."""


def save_arrays(path: str | Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays by name; the same arrays give the same bytes, which are those of `numpy.savez_compressed`.

    That function itself takes no array called `file`, which an image may be.
    """
    with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}{ENDING}", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


class StoredArrays(Mapping[str, npt.NDArray[Any]]):
    """The arrays of a file that `save_arrays` wrote, each read when it is asked for.

    Nothing is allocated for an array before the file is known to hold as much as its header claims, and the memory of
    the machine to have room for it. Raises FileNotFoundError, and ArraysError for what is no such file; KeyError for a
    name that it lacks.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:  # zipfile fails in many ways
            raise self._damaged(error) from error
        names = (name for name in self._archive.namelist() if name.endswith(ENDING))
        self._members = {name.removesuffix(ENDING): name for name in names}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        about = self._archive.getinfo(self._members[name])
        try:
            with self._archive.open(about) as member:
                _check(member, about.file_size)
            with self._archive.open(about) as member:
                array: npt.NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        except Exception as error:  # so do zlib and numpy's parser of headers
            raise self._damaged(error, f"the array {name}: ") from error
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def _damaged(self, error: Exception, where: str = "") -> ArraysError:
        return ArraysError(f"{self.path}: not a whole file of arrays ({where}{error or type(error).__name__})")


def _check(member: IO[bytes], size: int) -> None:
    """Raise ValueError unless an array is of a plain type, as large as its header says, and fits into memory."""
    version = np.lib.format.read_magic(member)
    if version not in HEADERS:
        raise ValueError(f"version {version}; expected one of {', '.join(map(str, HEADERS))}")
    shape, _, dtype = HEADERS[version](member)
    if dtype.kind not in KINDS:
        raise ValueError(f"type {dtype}; expected numbers or text")
    claimed, there = math.prod(shape) * dtype.itemsize, size - member.tell()
    if claimed != there:
        raise ValueError(f"shape {shape} of {dtype} takes {claimed} bytes; found {there}")
    if claimed > psutil.virtual_memory().available:
        raise ValueError(f"it takes {claimed >> 20} MiB, more than are free here")
