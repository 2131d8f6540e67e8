"""The selection of tests that run without torch on several Pythons (tests/tools/pythons.py)."""

import subprocess
import sys

import pytest
from tests.tools import pythons
from tests.tools.pythons import LOCKS, PACKAGES, ROOT, Uv, find_python, imported, pins, selected

SILENT = Uv("/bin/true", {})  # a uv without any interpreter


def test_only_tests_of_the_parts_without_torch_are_selected():
    files = selected()
    for name in ("certification/test_certificate", "data/test_decode", "data/test_releases", "data/test_splits"):
        assert f"tests/unit/{name}.py" in files
    for name in ("results/test_tables", "results/test_claims", "config/test_schema", "test_votes"):
        assert f"tests/unit/{name}.py" in files
    for file in files:
        assert not {name.split(".")[0] for name in imported(ROOT / file)} & {"torch", "snakemake", "diffusers"}, file


def test_every_package_is_locked():
    assert [pin.split("==")[0] for pin in pins()] == list(PACKAGES)
    assert all((ROOT / lock).exists() for lock in LOCKS)


def test_shared_fixtures_need_neither_torch_nor_snakemake():
    program = "import sys, tests.conftest; assert not {'torch', 'snakemake'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_a_launcher_of_a_missing_python_is_skipped(tmp_path, monkeypatch):
    (here := tmp_path / "here").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}:{here}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    for folder, program in ((tmp_path, "exit 127"), (here, "echo 3.99")):
        (folder / "python3.99").write_text(f"#!/bin/sh\n{program}\n")
        (folder / "python3.99").chmod(0o755)
    assert find_python("3.99", SILENT) == str(here / "python3.99")
    assert find_python("3.98", SILENT) is None


def test_without_any_python_the_error_says_what_to_type(monkeypatch, capsys):
    monkeypatch.setattr(pythons, "VERSIONS", ("3.97", "3.98"))
    monkeypatch.setattr(pythons, "find_installer", lambda: SILENT)
    with pytest.raises(SystemExit, match=r"found none of Python 3\.97, 3\.98; run: /bin/true python install"):
        pythons.main()
    assert capsys.readouterr().out.splitlines()[0] == "Python 3.97: not installed, so not tested"
