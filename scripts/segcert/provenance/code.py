"""Digest of the code that a script runs, for Snakemake's `params`.

Snakemake does not track the modules that a script imports, and it cannot tell an edited comment from edited code. This
digest covers the syntax trees of the script and of every module in this repository that the script imports, directly
or indirectly. It leaves out docstrings and the text of errors and log messages, because no artifact contains them
(tests/unit/test_error_texts.py, tests/system/determinism). It also leaves out modules that cannot change an artifact
(`SILENT`). For user-supplied modules, the digest includes the text of errors and log messages, because such a module
may read its own error messages.
"""

import ast
import dataclasses
import functools
import hashlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from segcert.provenance.digests import value_digest

SILENT = frozenset(
    {
        "segcert/__init__.py",
        "segcert/io/interruption.py",
        "segcert/io/progress.py",
        "segcert/networks/gpus.py",
        "segcert/provenance/code.py",
        "segcert/provenance/environment.py",
        "segcert/provenance/packages.py",
        "segcert/provenance/recording.py",
        "segcert/provenance/records.py",
        "segcert/provenance/storage.py",
    }
)
HAVE_DOCSTRINGS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
LOG_METHODS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})


def code_digest(script: str | Path, *loaded: str | Path, root: str | Path | None = None, messages: bool = False) -> str:
    """Return a single SHA-256 of all the code that a script runs. Takes the same arguments as `code_files`."""
    return value_digest(code_files(script, *loaded, root=root, messages=messages))


def code_files(
    script: str | Path, *loaded: str | Path, root: str | Path | None = None, messages: bool = False
) -> dict[str, str]:
    """Return the syntax digests of a script and of every module that it imports, as a dict with relative paths as keys.

    Parameters
    ----------
    script
        Path of the script.
    loaded
        Paths of modules below `root` that the script loads by name, without an import statement.
    root
        Folder in which imported modules are looked up. The default is the script's folder.
    messages
        True to include the text of errors and log messages.
    """
    closure = import_closure(script, *loaded, root=root)
    files = {name: CodeFile.read(path) for name, path in closure.items()}
    return {name: file.full_digest if messages else file.digest for name, file in files.items()}


def syntax_digest(source: bytes, name: str) -> str:
    """Return the SHA-256 of the syntax tree of Python source code.

    The digest leaves out docstrings and the text of errors and log messages.

    Raises SyntaxError for invalid source code, with `name` as the file name.
    """
    return CodeFile.parse(source, name).digest


def target_digest(target: str) -> str | None:
    """Return the code digest of a user-supplied module, given as `package.module:name`. The module is not imported.

    Return None for an installed package, because the locked environment covers it, and for a module that is not found.
    """
    closure = target_closure(target)
    if closure is None:
        return None
    return value_digest({name: CodeFile.read(path).full_digest for name, path in closure.items()})


def target_closure(target: str) -> dict[str, Path] | None:
    """Return the paths of a user-supplied module and of all user-supplied modules that it imports.

    The result is a dict. Its keys are the paths relative to the folder in which the module was found.

    Imported modules are looked up in the folder that contains the module's package, and then in the other folders from
    which Python imports user-supplied code. Return None for an installed package, and for a module that is not found.
    `target` has the form `package.module:name`. The module is not imported.
    """
    modules = target.partition(":")[0].split(".")
    spec = importlib.util.find_spec(modules[0])
    if spec is None:
        return None
    for location in spec.submodule_search_locations or filter(None, [spec.origin]):
        root = Path(location).parent.resolve()
        if _is_installed(root):
            continue
        module = root.joinpath(*modules)
        for file in (module.with_suffix(".py"), module / "__init__.py"):
            if file.is_file():
                return import_closure(file, root=root, others=_user_folders())
    return None


def _user_folders() -> list[Path]:
    """Return the folders on Python's path that contain neither installed packages nor segcert."""
    own = Path(__file__).resolve().parents[2]
    folders = dict.fromkeys(Path(entry or ".").resolve() for entry in sys.path)
    return [folder for folder in folders if folder.is_dir() and folder != own and not _is_installed(folder)]


def _is_installed(folder: Path) -> bool:
    """Return True for a folder of installed packages or of Python's own library."""
    library = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
    return not {"site-packages", "dist-packages"}.isdisjoint(folder.parts) or any(map(folder.is_relative_to, library))


def import_closure(
    script: str | Path, *loaded: str | Path, root: str | Path | None = None, others: Sequence[Path] = ()
) -> dict[str, Path]:
    """Return the paths of a script and of all modules that it imports, as a dict sorted by relative path.

    `loaded` lists modules that the script loads by name. `root` is the folder in which imported modules are looked up
    first, by default the script's folder. `others` are the folders to search next. Modules without statements, such as
    most `__init__.py` files, are left out.
    """
    script = Path(script).resolve()
    root = Path(root).resolve() if root else script.parent
    empty = CodeFile.parse(b"", "").digest
    closure: dict[str, Path] = {}
    seen: set[str] = set()
    found: dict[str, Path | None] = {}
    pending = [Path(module).resolve().relative_to(root).as_posix() for module in (script, *loaded)]
    while pending:
        name = pending.pop()
        if name in seen or name in SILENT:
            continue
        seen.add(name)
        path = found.get(name) or root / name
        code = CodeFile.read(path)
        if code.digest != empty:
            closure[name] = path
        package = tuple(name.split("/")[:-1])
        for candidate in _candidates(package, code.imports):
            if candidate not in found:
                folders = (folder for folder in (root, *others) if os.path.isfile(f"{folder}/{candidate}"))
                first = next(folders, None)
                found[candidate] = None if first is None else first / candidate
            if found[candidate]:
                pending.append(candidate)
    return dict(sorted(closure.items()))


@functools.cache
def _candidates(package: tuple[str, ...], imports: frozenset[tuple[int, tuple[str, ...]]]) -> frozenset[str]:
    """Return the paths of all files that a module's imports may refer to, including those of parent packages."""
    # The paths are plain strings, because a plan needs tens of thousands of paths, and creating Path objects would take
    # most of the plan's time.
    candidates: set[str] = set()
    for level, name in imports:
        module = (*(package[: len(package) - level + 1] if level else ()), *name)
        for depth in range(1, len(module) + 1):
            file = "/".join(module[:depth])
            candidates |= {f"{file}/__init__.py", f"{file}.py"}
    return frozenset(candidates)


@dataclasses.dataclass(frozen=True)
class CodeFile:
    """Digests and imports of a Python file.

    Attributes
    ----------
    digest
        SHA-256 of the syntax tree without docstrings and without the text of errors and log messages.
    full_digest
        SHA-256 of the syntax tree without docstrings.
    imports
        Imported modules. Each module is given by the number of leading dots and by the parts of its dotted name.
    """

    digest: str
    full_digest: str
    imports: frozenset[tuple[int, tuple[str, ...]]]

    @classmethod
    def read(cls, path: Path) -> "CodeFile":
        """Parse a file. Raises SyntaxError with the path as the file name."""
        return cls.parse(path.read_bytes(), str(path))

    @classmethod
    def parse(cls, source: bytes, name: str) -> "CodeFile":
        """Parse source code, and cache the result. Raises SyntaxError with `name` as the file name."""
        try:
            return _parse(source)
        except SyntaxError as error:
            error.filename = name
            raise

    @property
    def packages(self) -> set[str]:
        """Names of the top-level packages that the file imports, except those of the standard library."""
        return {name[0] for level, name in self.imports if not level and name} - set(sys.stdlib_module_names)


# The key of the cache is the source code: many rules run the same modules, and a process may plan several checkouts.
@functools.cache
def _parse(source: bytes) -> CodeFile:
    tree = ast.parse(source)
    imports: set[tuple[int, tuple[str, ...]]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {(0, tuple(alias.name.split("."))) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            imports |= {(node.level, module), *((node.level, (*module, alias.name)) for alias in node.names)}
        elif isinstance(node, ast.Call) and (loaded := _loaded_by_name(node)):
            imports.add((0, loaded))
        elif isinstance(node, HAVE_DOCSTRINGS) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    full_digest = _tree_digest(tree)
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Raise) or _is_log_line(statement):
            for node in ast.walk(statement):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    node.value = ""
    return CodeFile(_tree_digest(tree), full_digest, frozenset(imports))


def _loaded_by_name(call: ast.Call) -> tuple[str, ...]:
    """Return the parts of the dotted name that an import call loads, or () for any other call.

    Import calls are `import_module("...")` and `__import__("...")`.
    """
    function = getattr(call.func, "attr", getattr(call.func, "id", None))
    argument = call.args[0] if call.args else None
    if function not in ("import_module", "__import__") or not isinstance(argument, ast.Constant):
        return ()
    return tuple(argument.value.split(".")) if isinstance(argument.value, str) else ()


def _tree_digest(tree: ast.Module) -> str:
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_log_line(node: ast.AST) -> bool:
    """Return True for a statement such as `log.info(...)` or `logging.warning(...)` whose value is not used."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    method = node.value.func
    if not (isinstance(method, ast.Attribute) and isinstance(method.value, ast.Name)):
        return False
    return method.value.id in ("log", "logging") and method.attr in LOG_METHODS
