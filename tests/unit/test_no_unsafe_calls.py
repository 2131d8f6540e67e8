"""Security checks beyond ruff's rules (S, in pyproject.toml): no pickle, no code from data, no shell."""

import ast
import functools
import re

import pytest
from tests.support.pages import ROOT

SCRIPTS = sorted((ROOT / "scripts").rglob("*.py"))
RULES = [ROOT / "Snakefile", *sorted(ROOT.glob("rules/*.smk")), *sorted(ROOT.glob("workflow/**/*.smk"))]
UNPICKLING = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
# Code is loaded by name for user-supplied networks, measurements and threats. Elsewhere, segcert gives the names.
BY_NAME = {"networks/registry.py", "measurements.py", "data/catalogue.py", "__init__.py", "training/launch.py"}
BY_NAME |= {"networks/diffusers_parts.py"}  # the names are keys of a table
BY_NAME |= {"smoothing/threats/family.py", "smoothing/sampler.py"}  # the sampler gives one fixed name
PROGRAMS = {"networks/exported.py"}  # TorchScript and torch.export contain code, as its docstring says


@functools.cache
def nodes(path):
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def calls(path):
    """Return dotted name and node of each call in a file."""
    return [(ast.unparse(node.func), node) for node in nodes(path) if isinstance(node, ast.Call)]


def keyword(call, name):
    return next((ast.unparse(each.value) for each in call.keywords if each.arg == name), None)


def problems(path, name):
    """Yield the forbidden calls in a file."""
    for function, call in calls(path):
        last = function.rpartition(".")[2]
        found = f"{name}:{call.lineno}: {function}"
        if (
            function in ("np.load", "numpy.load", "np.lib.format.open_memmap")
            and keyword(call, "allow_pickle") != "False"
        ):
            yield f"{found} without allow_pickle=False; read with segcert.io.arrays"
        if last == "read_array" and keyword(call, "allow_pickle") != "False":
            yield f"{found} without allow_pickle=False"
        if function == "torch.load" and keyword(call, "weights_only") != "True":
            yield f"{found} without weights_only=True"
        if (
            function in ("torch.jit.load", "torch.export.load", "torch.package.PackageImporter")
            and name not in PROGRAMS
        ):
            yield f"{found}: programs are code, and loaded by networks/exported.py alone"
        if function in ("importlib.import_module", "__import__") and name not in BY_NAME:
            yield f"{found}: code is loaded by a name that comes from data"
        if last in ("read_pickle", "to_pickle", "from_file") or function in (
            "pd.eval",
            "yaml.load",
            "yaml.unsafe_load",
        ):
            yield found
        if last in ("query", "eval") and isinstance(call.func, ast.Attribute) and call.args:
            yield f"{found}: evaluates text as code"
        if last == "extractall" and "tar" in ast.unparse(call).lower() and keyword(call, "filter") is None:
            yield f"{found} without filter"
        if last == "from_pretrained" and keyword(call, "local_files_only") != "True":
            yield f"{found} without local_files_only=True"


def unpickling_imports(path, name):
    for node in nodes(path):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"{name}: imports {each}" for each in modules if each.partition(".")[0] in UNPICKLING)


def test_the_library_loads_no_pickle_and_no_code_from_data():
    found = []
    for path in SCRIPTS:
        name = path.relative_to(ROOT / "scripts").as_posix().removeprefix("segcert/")
        found += [*problems(path, name), *unpickling_imports(path, name)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "np.load(path)", "np.load(path, allow_pickle=True)", "torch.load(path)", "torch.load(path, weights_only=False)",
        "torch.jit.load(path)", "importlib.import_module(name)", "pd.read_pickle(path)", "yaml.load(text)",
        "frame.query(text)", "tarfile.open(path).extractall(folder)", "UNet2DModel.from_pretrained(folder)",
    ],
)  # fmt: skip
def test_unsafe_calls_are_found(tmp_path, source):
    (tmp_path / "a.py").write_text(source)
    assert list(problems(tmp_path / "a.py", "a.py"))


def test_rules_start_no_shell_and_evaluate_no_code():
    """Every rule runs a script: names of files and settings never reach a shell."""
    assert len(RULES) > 10
    for path in RULES:
        directives = re.findall(r"^\s+(shell|run|wrapper|notebook)\s*:", path.read_text(), re.MULTILINE)
        assert not directives, f"{path.name}: {directives}"
        assert not re.search(r"\b(shell|eval|exec|os\.system|os\.popen)\(", path.read_text()), path.name


def test_html_templates_escape():
    """One environment renders pages and escapes; the others write LaTeX and Markdown, with filters."""
    environments = [
        (path.name, keyword(call, "autoescape"))
        for path in SCRIPTS
        for function, call in calls(path)
        if function.endswith("Environment") and "jinja2" in function
    ]
    escaping = [name for name, escapes in environments if escapes == "True"]
    assert {name for name, escapes in environments if escapes != "True"} == {"latex_tables.py", "model_card.py"}
    assert escaping, "nothing renders pages"
