"""Import single modules from a large library without importing the rest of it."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from pathlib import Path


@contextlib.contextmanager
def lean(*, bare: Iterable[str] = (), absent: Iterable[str] = ()) -> Iterator[None]:
    """Make imports in the `with` block skip large parts of a library.

    After the block, imports return the complete packages and modules again. Modules that were imported before the block
    are not affected.

    Parameters
    ----------
    bare
        Packages whose `__init__` module is not run.
    absent
        Modules whose import fails as if they were not installed. The library must be able to work without them.
    """
    bare = [name for name in bare if name not in sys.modules]
    hidden = [name for name in absent if name not in sys.modules]
    for name in bare:
        library, *below = name.split(".")
        found = find_spec(library)
        if found is None or found.origin is None:
            raise ModuleNotFoundError(f"No module named {library!r}", name=library)
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(Path(found.origin).parent.joinpath(*below))]
        sys.modules[name] = module_from_spec(spec)
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # makes the import raise ImportError
    try:
        yield
    finally:
        for name in (*bare, *hidden):
            del sys.modules[name]
