"""Store named arrays in a compressed `.npz` file, without pickle. Files are not trusted when they are read."""

import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt
import psutil

from segcert.io.atomic import atomic_file

KINDS = "biufU"  # codes of the allowed numpy types: Booleans, integers, floats, text
SUFFIX = ".npy"
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class ArraysError(ValueError):
    """Error for a file of arrays that is damaged, incomplete or too large for the free memory."""


def save_arrays(path: str | Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write named arrays. Equal arrays give byte-identical files.

    The file is identical to the one that `numpy.savez_compressed` would write. Unlike numpy's function, `save_arrays`
    accepts an array called `file`, because an image may have this name.
    """
    with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}{SUFFIX}", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


class StoredArrays(Mapping[str, npt.NDArray[Any]]):
    """The arrays in a file that `save_arrays` wrote. Each array is read when it is accessed.

    Memory for an array is allocated only after two checks: the file contains as many bytes as the header claims, and
    the machine has enough free memory.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ArraysError
        If the file is damaged or incomplete; if it contains two arrays of the same name or anything that is not an
        array; or if an array is larger than the free memory.
    KeyError
        If the file contains no array with the requested name.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:  # zipfile raises many kinds of errors
            raise self._damaged(error) from error
        names = self._archive.namelist()
        # Programs differ in which of two members with the same name they read, and in how they treat other kinds of
        # members.
        if len(set(names)) < len(names) or not all(name.endswith(SUFFIX) for name in names):
            raise self._damaged(
                ValueError(f"found the members {', '.join(names)}; expected only arrays, each with a different name")
            )
        self._members = {name.removesuffix(SUFFIX): name for name in names}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        about = self._archive.getinfo(self._members[name])
        try:
            with self._archive.open(about) as member:
                _check(member, about.file_size)
            with self._archive.open(about) as member:
                array: npt.NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
        except Exception as error:  # zlib and numpy's header parser raise many kinds of errors
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

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def _damaged(self, error: Exception, where: str = "") -> ArraysError:
        return ArraysError(f"{self.path}: cannot be read as a file of arrays ({where}{error or type(error).__name__})")


def _check(member: IO[bytes], size: int) -> None:
    """Raise ValueError unless an array's type is allowed, its size matches its header, and it fits into memory."""
    version = np.lib.format.read_magic(member)
    if version not in HEADERS:
        raise ValueError(f"found format version {version}; expected one of {', '.join(map(str, HEADERS))}")
    shape, _, dtype = HEADERS[version](member)
    if dtype.kind not in KINDS:
        raise ValueError(f"found elements of type {dtype}; expected numbers or text")
    claimed, there = math.prod(shape) * dtype.itemsize, size - member.tell()
    if claimed != there:
        raise ValueError(f"found {there} bytes; expected {claimed}, for an array of shape {shape} and type {dtype}")
    if claimed > psutil.virtual_memory().available:
        raise ValueError(f"reading this array takes {claimed >> 20} MiB, which is more than the free memory")
