"""What code does a script run? A digest of its import closure, for Snakemake's `params`.

Snakemake sees neither the modules that a script imports nor whether an edit changed more than a comment. The
digest is taken over the syntax trees of the script and of every module of this repository that it imports,
directly or not, docstrings left out. Modules that cannot change an artifact do not count (`SILENT`).
"""

import ast
import functools
import hashlib
import importlib.util
from pathlib import Path

SILENT = frozenset({"segcert/__init__.py", "segcert/progress.py", "segcert/provenance/records.py"})


def code_digest(script: str | Path, *loaded: str | Path, root: str | Path | None = None) -> str:
    """SHA-256 over the syntax trees of `script` and of all that it imports from under `root`, by default its folder.

    `loaded` are modules there that it loads by name.
    """
    closure = import_closure(script, *loaded, root=root)
    lines = (f"{name} {_syntax_digest(path, path.stat().st_mtime_ns)}\n" for name, path in closure.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def target_digest(target: str) -> str | None:
    """The code digest of the module of a `package.module:name` of one's own, which is found but not imported.

    None for what is installed, which the locked environment stands for, and for what cannot be found.
    """
    modules = target.partition(":")[0].split(".")
    spec = importlib.util.find_spec(modules[0])
    if spec is None:
        return None
    for place in spec.submodule_search_locations or filter(None, [spec.origin]):
        root = Path(place).parent
        if "site-packages" in root.parts:
            continue
        inner = root.joinpath(*modules)
        for file in (inner.with_suffix(".py"), inner / "__init__.py"):
            if file.is_file():
                return code_digest(file, root=root)
    return None


def import_closure(script: str | Path, *loaded: str | Path, root: str | Path | None = None) -> dict[str, Path]:
    """The script and the modules under `root` that it imports (or loads by name), by relative name, sorted.

    `root` is where imports start from, by default the folder of the script.
    """
    script = Path(script).resolve()
    root = Path(root).resolve() if root else script.parent
    closure: dict[str, Path] = {}
    pending = [script, *(Path(module).resolve() for module in loaded)]
    while pending:
        path = pending.pop()
        name = path.relative_to(root).as_posix()
        if name in closure or name in SILENT:
            continue
        closure[name] = path
        pending += _imported_files(path, root)
    return dict(sorted(closure.items()))


def _imported_files(path: Path, root: Path) -> list[Path]:
    package = path.relative_to(root).parent.parts
    modules: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            modules |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = above + tuple(node.module.split(".")) if node.module else above
            modules |= {base, *((*base, alias.name) for alias in node.names)}
    candidates = {
        candidate
        for module in modules
        for depth in range(1, len(module) + 1)
        for candidate in (
            root.joinpath(*module[:depth], "__init__.py"),
            root.joinpath(*module[:depth]).with_suffix(".py"),
        )
    }
    return sorted(candidate for candidate in candidates if candidate.is_file())


@functools.cache
def _syntax_digest(path: Path, _mtime_ns: int) -> str:
    tree = ast.parse(path.read_bytes(), str(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _has_docstring(
            node
        ):
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None
