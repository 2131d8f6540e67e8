"""A module of a large library, without the rest of the library."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from pathlib import Path


@contextlib.contextmanager
def lean(*, bare: Iterable[str] = (), absent: Iterable[str] = ()) -> Iterator[None]:
    """Let modules of a library be imported without much of what the library imports on the way.

    The packages `bare` are entered without their `__init__`. `absent` are modules that the library does without where
    they are not installed. Afterwards all is as it was: who imports one of them has it whole. What was imported before
    stays as it is.
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
        sys.modules[name] = None  # type: ignore[assignment]  # an import of it raises ImportError
    try:
        yield
    finally:
        for name in (*bare, *hidden):
            del sys.modules[name]
