"""Installed packages that user-supplied code uses, and their versions."""

import functools
import importlib.metadata
import sys

from segcert.provenance.code import CodeFile, target_closure
from segcert.provenance.digests import value_digest

SHORT = 12  # number of digits of a digest that follows a version


@functools.cache
def version_of(package: str) -> str:
    """Return the version of the installed package that provides an import name, or "unknown" if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pass
    names = importlib.metadata.packages_distributions().get(package, [])
    return ", ".join(sorted(map(importlib.metadata.version, names))) or "unknown"


@functools.cache
def installed_code(package: str) -> str:
    """Return a package's version and a digest of its installed files.

    The digest distinguishes a package from a copy that a user edited without changing the version.
    """
    names = importlib.metadata.packages_distributions().get(package, [])
    files = {
        str(file): file.hash.value
        for name in names
        for file in importlib.metadata.files(name) or ()
        if file.hash and file.suffix in (".py", ".so", ".pyd")
    }
    return f"{version_of(package)} {value_digest(files)[:SHORT]}"


def target_packages(target: str) -> dict[str, str]:
    """Return the versions of the installed packages that a user-supplied target uses.

    The keys of the result are import names.

    `target` has the form `package.module:name`, and is not imported. If it is in an installed package, the result
    contains only that package, and a digest of the package's files follows the version.
    """
    closure = target_closure(target)
    if closure is None:
        package = target.partition(":")[0].partition(".")[0]
        return {} if package in sys.stdlib_module_names else {package: installed_code(package)}
    own = {name.partition("/")[0].removesuffix(".py") for name in closure}
    imported = {package for path in closure.values() for package in CodeFile.read(path).packages} - own
    return {package: version_of(package) for package in sorted(imported - {"torch", "numpy", "segcert"})}
