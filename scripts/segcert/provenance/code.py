"""What code does a script run? A digest of its import closure, for Snakemake's `params`.

Snakemake sees neither the modules that a script imports nor whether an edit changed more than a comment. The
digest is taken over the syntax trees of the script and of every module of this repository that it imports,
directly or not. Left out are docstrings, and the words of errors and log lines: no artifact holds these (tests/unit/
test_error_texts.py, tests/system/determinism). Modules that cannot change an artifact do not count (`SILENT`).
A module of the user's own counts with all its words: it may read its own errors.
"""

import ast
import dataclasses
import functools
import hashlib
import importlib.util
import os
import sys
from pathlib import Path

from segcert.provenance.digests import value_digest

SILENT = frozenset(
    {
        "segcert/__init__.py",
        "segcert/io/interruption.py",
        "segcert/io/progress.py",
        "segcert/networks/gpus.py",
        "segcert/provenance/environment.py",
        "segcert/provenance/recording.py",
        "segcert/provenance/records.py",
        "segcert/provenance/storage.py",
    }
)
HAVE_DOCSTRINGS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
LEVELS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})  # of a logger's methods


def code_digest(script: str | Path, *loaded: str | Path, root: str | Path | None = None, messages: bool = False) -> str:
    """SHA-256 over `code_files`: one digest for all the code that a script runs."""
    return value_digest(code_files(script, *loaded, root=root, messages=messages))


def code_files(
    script: str | Path, *loaded: str | Path, root: str | Path | None = None, messages: bool = False
) -> dict[str, str]:
    """SHA-256 of the syntax trees of `script` and of all that it imports from under `root`, by relative name.

    `root` is by default the folder of the script; `loaded` are modules there that it loads by name. With `words` those
    of errors and log lines count too.
    """
    closure = import_closure(script, *loaded, root=root)
    files = {name: CodeFile.read(path) for name, path in closure.items()}
    return {name: file.full_digest if messages else file.digest for name, file in files.items()}


def syntax_digest(source: bytes, name: str) -> str:
    """SHA-256 of the syntax tree of a Python file's text, docstrings left out. Raises SyntaxError, naming `name`."""
    return CodeFile.parse(source, name).digest


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
                return code_digest(file, root=root, messages=True)
    return None


def import_closure(script: str | Path, *loaded: str | Path, root: str | Path | None = None) -> dict[str, Path]:
    """The script and the modules under `root` that it imports (or loads by name), by relative name, sorted.

    Modules without a statement, such as the `__init__.py` of most packages, are left out. `root` is where imports start
    from, by default the folder of the script.
    """
    script = Path(script).resolve()
    root = Path(root).resolve() if root else script.parent
    empty = CodeFile.parse(b"", "").digest
    closure: dict[str, Path] = {}
    seen: set[str] = set()
    there: dict[str, bool] = {}
    pending = [Path(module).resolve().relative_to(root).as_posix() for module in (script, *loaded)]
    while pending:
        name = pending.pop()
        if name in seen or name in SILENT:
            continue
        seen.add(name)
        code = CodeFile.read(root / name)
        if code.digest != empty:
            closure[name] = root / name
        package = tuple(name.split("/")[:-1])
        for candidate in _candidates(package, code.imports):
            if candidate not in there:
                there[candidate] = os.path.isfile(f"{root}/{candidate}")
            if there[candidate]:
                pending.append(candidate)
    return dict(sorted(closure.items()))


@functools.cache
def _candidates(package: tuple[str, ...], imports: frozenset[tuple[int, tuple[str, ...]]]) -> frozenset[str]:
    """Files that a module of a package may mean by its imports: of every name, and of the packages around it.

    Plain strings: a plan asks for tens of thousands, and paths would take most of its time.
    """
    candidates: set[str] = set()
    for level, name in imports:
        module = (*(package[: len(package) - level + 1] if level else ()), *name)
        for depth in range(1, len(module) + 1):
            file = "/".join(module[:depth])
            candidates |= {f"{file}/__init__.py", f"{file}.py"}
    return frozenset(candidates)


@dataclasses.dataclass(frozen=True)
class CodeFile:
    """A Python file: the digest of its syntax tree, and what it imports, as (levels up, dotted name).

    `full_digest` covers the words of errors and log lines too.
    """

    digest: str
    full_digest: str
    imports: frozenset[tuple[int, tuple[str, ...]]]

    @classmethod
    def read(cls, path: Path) -> "CodeFile":
        """Parse a file. Raises SyntaxError, naming it."""
        return cls.parse(path.read_bytes(), str(path))

    @classmethod
    def parse(cls, source: bytes, name: str) -> "CodeFile":
        """Parse the text of a file, or take it from memory. Raises SyntaxError, naming `name`."""
        try:
            return _parse(source)
        except SyntaxError as error:
            error.filename = name
            raise

    @property
    def packages(self) -> set[str]:
        """The top names that are imported and do not belong to Python itself."""
        return {name[0] for level, name in self.imports if not level and name} - set(sys.stdlib_module_names)


@functools.cache  # by the bytes: many rules run the same modules, and one process may plan in several checkouts
def _parse(source: bytes) -> CodeFile:
    tree = ast.parse(source)
    imports: set[tuple[int, tuple[str, ...]]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {(0, tuple(alias.name.split("."))) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            imports |= {(node.level, module), *((node.level, (*module, alias.name)) for alias in node.names)}
        elif isinstance(node, HAVE_DOCSTRINGS) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    full_digest = _tree_digest(tree)
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Raise) or _is_log_line(statement):
            for node in ast.walk(statement):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    node.value = ""
    return CodeFile(_tree_digest(tree), full_digest, frozenset(imports))


def _tree_digest(tree: ast.Module) -> str:
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_log_line(node: ast.AST) -> bool:
    """True for a statement `log.info(...)`, `logging.warning(...)` and so on, whose value nothing uses."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    method = node.value.func
    if not (isinstance(method, ast.Attribute) and isinstance(method.value, ast.Name)):
        return False
    return method.value.id in ("log", "logging") and method.attr in LEVELS
