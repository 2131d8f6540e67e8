"""Imports run one way, from the scripts down to votes, provenance and config (CONTRIBUTING.md)."""

import ast
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"
LAYERS = [
    {"votes", "draws", "measurements", "provenance", "config", "console", "progress", "interruption", "lean_imports"},
    {"models", "diffusion", "data"},
    {"training", "smoothing", "certification"},
    {"planning"},
    {"reporting", "documents", "audit", "cli"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
MODULES = sorted((SCRIPTS / "segcert").rglob("*.py"))


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module


IMPORTS = {path: list(imported_modules(path)) for path in MODULES}


def part_of(path):
    relative = path.relative_to(SCRIPTS / "segcert")
    return relative.parts[0].removesuffix(".py")


def test_no_import_runs_back_up():
    assert len(IMPORTS) > 100
    for path, modules in IMPORTS.items():
        part = part_of(path)
        for imported in {module.split(".")[1] for module in modules if module.startswith("segcert.")}:
            assert part == "__init__" or LEVEL[imported] <= LEVEL[part], f"{path} imports {imported}, which is above it"


def test_library_imports_neither_snakemake_nor_dvc():
    for path, modules in IMPORTS.items():
        if path.name != "plan.py":  # audit: what Snakemake would do
            assert not {module.split(".")[0] for module in modules} & {"snakemake", "dvc"}, path


def test_files_are_short():
    assert [path for path in MODULES if len(path.read_text().splitlines()) > 400] == []


def test_certification_needs_no_torch():
    program = (
        "import sys, segcert.certification.evaluate; assert not {'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=SCRIPTS, check=True)


def test_public_names_are_lazy():
    program = "import sys, segcert; assert 'numpy' not in sys.modules; assert segcert.ABSTAIN == 255; segcert.Votes"
    subprocess.run([sys.executable, "-c", program], cwd=SCRIPTS, check=True)


def test_snakefile_is_a_table_of_contents():
    assert len((SCRIPTS.parent / "Snakefile").read_text().splitlines()) <= 80
