"""Which locked packages does a script run with? For Snakemake's `params`, as `provenance.code` is for its own code.

A stage is stale when its locked environment changed: when the lock files give another version or other hashes of a
package that the script can import, itself or through another. DVC, which has an environment of its own, counts for
scripts that call it. Packages of other stages, and the tools of development, do not count. Which
build of torch is installed here (CPU or CUDA) does not count either: it says where networks run.
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
PROGRAM_LOCKS = {
    "segcert/provenance/dvc.py": "envs/lock-dvc.txt"
}  # a module that starts programs -> the lock file of these
INSTALLED = Path(".segcert/installed")
# What a package takes up where it is installed, though it does not require it, and what can change an artifact.
OPTIONAL = {"diffusers": ("accelerate",), "pandas": ("pyarrow",), "scikit-image": ("pywavelets",)}


def locked_environment(
    script: str | Path, *loaded: str | Path, root: str | Path = ".", write: bool = True
) -> dict[str, str]:
    """The locked packages that a script and all that it imports from its folder can import or start, by name, sorted.

    `loaded` are modules that it loads by name; `root` is the folder with the lock files. A value is the version and a
    digest of the lines of the lock files: `2.4.6 9f86d081884c7d65`. With write=False nothing is kept for other
    processes.
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
    """Version and digest of every package of lock files below `root`, by canonical name."""
    entries: dict[str, list[str]] = {}
    for lock in locks:
        for name, entry in _entries(Path(root, lock)).items():
            entries.setdefault(name, []).append(entry)
    return {name: ", ".join(entry) for name, entry in entries.items()}


def _entries(lock: Path) -> dict[str, str]:
    """Version and digest of the entry of each package of a lock file."""
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
    """The installed distributions that provide each importable name.

    To look them up reads a file of each, which takes longer than many jobs work: it is done once for what is installed.
    """
    installed = {folder: sorted(path.name for path in Path(folder).glob("*-info")) for folder in sys.path}
    file = INSTALLED / f"{value_digest([each for each in installed.items() if each[1]])}.json"
    with contextlib.suppress(OSError, ValueError):
        digest, kept = parse_json(file.read_bytes())
        if value_digest(kept) == digest:
            return dict(kept)
    provided = importlib.metadata.packages_distributions()
    found = {name: sorted(map(canonicalize_name, each)) for name, each in provided.items()}
    if write:
        with contextlib.suppress(OSError), atomic_file(file) as temporary:  # a full disk: it is looked up again
            temporary.write_text(json.dumps([value_digest(found), found]))
    return found


@functools.cache
def _required(name: str) -> frozenset[str]:
    """The distributions that an installed one requires here."""
    try:
        stated = map(Requirement, importlib.metadata.requires(name) or ())
    except importlib.metadata.PackageNotFoundError:
        return frozenset()
    here = (each for each in stated if not each.marker or each.marker.evaluate({"extra": ""}))
    return frozenset({*(canonicalize_name(each.name) for each in here), *OPTIONAL.get(name, ())})


def imported_packages() -> dict[str, str]:
    """Name and version of every installed package that this process has imported."""
    names = {distribution for name in list(sys.modules) for distribution in _distributions().get(name, ())}
    return {name: importlib.metadata.version(name) for name in sorted(names)}
