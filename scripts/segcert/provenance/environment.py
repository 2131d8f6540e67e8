"""Locked packages with which a script runs, for Snakemake's `params`. `provenance.code` covers segcert's own code.

A rule's output becomes stale if the rule's script can import a package, directly or indirectly, and the locked version
or the locked hashes of that package change. The packages of DVC's own environment are included only for scripts that
call DVC. Packages that only other rules or development tools need are left out. The choice of torch build (CPU or CUDA)
has no effect, because it only decides where networks run.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from segcert.io.atomic import atomic_file
from segcert.io.json_files import parse_json
from segcert.provenance.code import CodeFile, import_closure
from segcert.provenance.digests import value_digest

LOCKS = ("envs/lock-run.txt", "envs/lock-torch-cpu.txt", "envs/lock-torch-cuda.txt")
# Lock files of programs that segcert starts. The keys are the modules that start them.
PROGRAM_LOCKS = {"segcert/provenance/dvc.py": "envs/lock-dvc.txt"}
INSTALLED = Path(".segcert/installed")
# Optional dependencies of packages: the packages (the keys) use them if they are installed, but do not require them
OPTIONAL: dict[str, tuple[str, ...]] = {
    "diffusers": ("accelerate",),
    "pandas": ("pyarrow",),
    "pydicom": ("pylibjpeg", "pylibjpeg-openjpeg", "pyjpegls", "python-gdcm"),
    "scikit-image": ("pywavelets",),
    "tifffile": ("imagecodecs",),
}


def locked_environment(
    script: str | Path, *loaded: str | Path, root: str | Path = ".", write: bool = True
) -> dict[str, str]:
    """Return the locked packages that a script can import or start, directly or through segcert modules.

    Parameters
    ----------
    script
        Path of the script.
    loaded
        Modules that the script loads by name.
    root
        The checkout, which contains the lock files.
    write
        True to store the list of installed packages for other processes.

    Returns
    -------
    A dict sorted by package name. Each value contains the version of the package and the digest of its lock file entry,
    as in `2.4.6 9f86d081884c7d65`.
    """
    locked = read_locks(root)
    closure = import_closure(script, *loaded)
    imported = {name for file in closure.values() for name in CodeFile.read(file).packages}
    provided = _distributions(write=write)
    pending = {distribution for name in imported for distribution in provided.get(name, ())}
    needed: set[str] = set()
    while pending:
        name = pending.pop()
        if name in locked and name not in needed:
            needed.add(name)
            pending |= _required(name)
    if "torch" in needed:
        needed |= {name for lock in LOCKS[1:] for name in _entries(Path(root, lock))}
    started = read_locks(root, [lock for module, lock in PROGRAM_LOCKS.items() if module in closure])
    found = {name: {locked[name]} for name in needed}
    for name, entry in started.items():
        found.setdefault(name, set()).add(entry)
    return {name: ", ".join(sorted(found[name])) for name in sorted(found)}


def read_locks(root: str | Path = ".", locks: Iterable[str] = LOCKS) -> dict[str, str]:
    """Return the version of each package in the lock files below `root`, and the digest of its lock file entry.

    The keys of the result are canonical package names.
    """
    entries: dict[str, list[str]] = {}
    for lock in locks:
        for name, entry in _entries(Path(root, lock)).items():
            entries.setdefault(name, []).append(entry)
    return {name: ", ".join(entry) for name, entry in entries.items()}


def _entries(lock: Path) -> dict[str, str]:
    """Return the version of each package in a lock file, and the digest of its entry in the file.

    If the file does not exist, the result is empty.
    """
    return _parsed(lock.read_text()) if lock.exists() else {}


@functools.cache
def _parsed(text: str) -> dict[str, str]:
    entries: dict[str, str] = {}
    for entry in re.split(r"\n(?=[A-Za-z0-9])", "\n".join(line for line in text.splitlines() if line[:1] != "#")):
        name, _, rest = entry.partition("==")
        if rest:
            digest = hashlib.sha256(" ".join(sorted(rest.replace("\\", " ").split())).encode()).hexdigest()
            entries[canonicalize_name(name)] = f"{rest.split()[0]} {digest[:16]}"
    return entries


@functools.cache
def _distributions(*, write: bool = True) -> Mapping[str, Iterable[str]]:
    """Return a dict that maps each importable name to the installed distributions that provide it."""
    # The lookup reads a file of each distribution, which takes longer than many jobs do. The result is therefore stored
    # under a digest of the names of all installed distributions.
    installed = {folder: sorted(path.name for path in Path(folder).glob("*-info")) for folder in sys.path}
    file = INSTALLED / f"{value_digest([each for each in installed.items() if each[1]])}.json"
    with contextlib.suppress(OSError, ValueError):
        digest, stored = parse_json(file.read_bytes())
        if value_digest(stored) == digest:
            return dict(stored)
    provided = importlib.metadata.packages_distributions()
    found = {name: sorted(map(canonicalize_name, each)) for name, each in provided.items()}
    if write:
        with contextlib.suppress(OSError), atomic_file(file) as temporary:  # nothing is stored if the disk is full
            temporary.write_text(json.dumps([value_digest(found), found]))
    return found


@functools.cache
def _required(name: str) -> frozenset[str]:
    """Return the packages that an installed package requires on this platform, and those in `OPTIONAL` that it uses."""
    try:
        requirements = map(Requirement, importlib.metadata.requires(name) or ())
    except importlib.metadata.PackageNotFoundError:
        return frozenset()
    needed = (each for each in requirements if not each.marker or each.marker.evaluate({"extra": ""}))
    return frozenset({*(canonicalize_name(each.name) for each in needed), *OPTIONAL.get(name, ())})


def imported_packages() -> dict[str, str]:
    """Return a dict that maps the name of each package that this process has imported to its installed version."""
    names = {distribution for name in list(sys.modules) for distribution in _distributions().get(name, ())}
    return {name: importlib.metadata.version(name) for name in sorted(names)}
