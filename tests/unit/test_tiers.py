"""The two tiers of the tests run every test, and a skip fails in continuous integration."""

import ast
import os
import re
import subprocess
import sys
import types

from tests.conftest import ROOT, not_skipped_in_ci

MAKEFILE = (ROOT / "Makefile").read_text()
SETTINGS = (ROOT / "pyproject.toml").read_text().partition("[tool.pytest.ini_options]")[2].partition("\n[")[0]
TARGETS = {"test": "QUICK", "test-rest": "SYSTEM"}
NEVER_ENTERED = {"build", "dist", "venv", "node_modules", "CVS"}  # pytest's norecursedirs


def folders_of(tier):
    (line,) = re.findall(rf"^{tier} := (.+)$", MAKEFILE, re.MULTILINE)
    return [ROOT / folder for folder in line.split()]


def tiers_of(file):
    """Return the tiers that run a file."""
    return [tier for tier in TARGETS.values() for folder in folders_of(tier) if folder in file.parents]


def test_every_test_file_is_in_one_tier():
    files = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "tests").rglob("*_test.py")]
    assert len(files) > 80
    names = [file.name for file in files]
    assert sorted(names) == sorted(set(names)), "pytest takes files with the same name for one module"
    assert {file: tiers for file in files if len(tiers := tiers_of(file)) != 1} == {}
    assert not [file for file in files if NEVER_ENTERED & {*file.relative_to(ROOT).parts}]
    assert tiers_of(ROOT / "tests/elsewhere/test_new.py") == tiers_of(ROOT / "tests/test_new.py") == []
    with_tests = {
        file.relative_to(ROOT)
        for file in (ROOT / "tests").rglob("*.py")
        if re.search(r"^def test_", file.read_text(), re.MULTILINE) and file not in files
    }
    assert with_tests == set(), "a test is in a file that pytest does not collect"


def test_each_tier_is_run_whole():
    for target, tier in TARGETS.items():
        (recipe,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
        assert len(re.findall(rf"^\t\$\(PYTEST\) (?:-.*)?\$\({tier}\)$", recipe, re.MULTILINE)) == 1
    (command,) = re.findall(r"^PYTEST :?= (.+)$", MAKEFILE, re.MULTILINE)
    (options,) = re.findall(r'^addopts = "(.*)"$', SETTINGS, re.MULTILINE)
    left_out = {"-m", "-k", "--ignore", "--ignore-glob", "--deselect", "--lf", "--ff", "--sw", "-x", "--maxfail"}
    assert not left_out & {option.partition("=")[0] for option in f"{command} {options}".split()}
    assert not re.search(r"^(python_\w+|norecursedirs|collect_ignore\w*)", SETTINGS, re.MULTILINE)
    for conftest in (ROOT / "tests").rglob("conftest.py"):
        text = conftest.read_text()
        hooks = ("collect_ignore", "pytest_ignore_collect", "pytest_deselected")
        assert not [hook for hook in hooks if hook in text], conftest
        for function in ast.parse(text).body:
            if isinstance(function, ast.FunctionDef) and function.name == "pytest_collection_modifyitems":
                statements = [ast.unparse(statement) for statement in function.body if ast.get_docstring(function)]
                assert len(statements) == 2, "a docstring and a sort, which keeps all tests"
                assert statements[1].startswith("items.sort(")


def test_continuous_integration_runs_both_tiers():
    lines = (ROOT / ".ci/run").read_text().splitlines()
    tiers = [line for line in lines if line in ("make test", "make test-rest")]
    assert tiers == ["make test", "make test-rest"]
    assert "set -euo pipefail" in lines


SKIPS = """
import pytest

def test_unlisted():
    pytest.skip("the moon is full")

@pytest.mark.skipif(True, reason="needs a GPU")
def test_listed():
    pass

@pytest.mark.xfail(strict=True)
def test_expected_to_fail():
    assert False

@pytest.mark.parametrize("name", [])
def test_of_nothing(name):
    pass
"""


def test_in_ci_a_skip_fails_unless_its_reason_is_listed(tmp_path):
    (tmp_path / "test_skips.py").write_text(SKIPS)
    (tmp_path / "test_file.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "scripts")]), "CI": "true"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "-rsf"]
    command += ["--continue-on-collection-errors", "--rootdir", tmp_path, tmp_path]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    (last,) = re.findall(r"^\d.* in [\d.]+s.*$", done.stdout, re.MULTILINE)
    assert last.startswith("1 failed, 1 skipped, 1 xfailed, 2 errors in"), done.stdout
    assert "skipped, and CI is set: the moon is full. Install what is missing, or add the reason to" in done.stdout


def test_outside_ci_a_skip_stays_a_skip(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    report = types.SimpleNamespace(outcome="skipped", longrepr=("test.py", 1, "Skipped: the moon is full"))
    assert not_skipped_in_ci(report).outcome == "skipped"
    monkeypatch.setenv("CI", "true")
    assert not_skipped_in_ci(report).outcome == "failed"
