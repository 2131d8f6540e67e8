"""Conda files and container recipes follow the lock files; environments are installed with the settings of pip."""

import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.support.pages import ROOT

from segcert.provenance.digests import file_digest

ENVS = ROOT / "envs"
sys.path.insert(0, str(ENVS))  # conda.py imports installer
SPEC = importlib.util.spec_from_file_location("conda_files", ENVS / "conda.py")
conda_files = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(conda_files)
import installer  # noqa: E402

RULES = list(conda_files.read_rules())
GROUPS = sorted({group for _, group, _, _ in RULES})
FILES = sorted(ENVS.glob("*.yaml"))
AGAIN = "write: make lock"


def files_of(group):
    return [path for path in (ENVS / f"{group}{build}.yaml" for build in ("", "-cpu", "-cuda")) if path.exists()]


def requirements(path):
    """Return the requirements in the pip section of a conda file: version and hashes by package."""
    found = {}
    for line in yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]:
        if not line.startswith("--"):
            requirement, *options = line.split(" ")
            name, version = requirement.split("==")
            assert all(option.startswith("--hash=sha256:") for option in options), line
            found[name] = version, {option.removeprefix("--hash=") for option in options}
    return found


def locked(path):
    build = "cuda" if path.stem.endswith("-cuda") else "cpu"
    return conda_files.read_lock(conda_files.DVC, conda_files.RUN, conda_files.BUILDS[build])


def recipe_lines(path):
    """Return the lines of a recipe, with continued lines joined."""
    return [line.strip() for line in path.read_text().replace("\\\n", " ").splitlines()]


def installs(path):
    """Return the calls of `pip install` in a recipe, in order, split into words."""
    lines = [line.removeprefix("RUN ") for line in recipe_lines(path)]
    return [shlex.split(line) for line in lines if re.match(r"(\S+/)?pip install", line)]


def required(name):
    """Return the requirements of a package of the environments of runs or DVC; none for the other build of torch."""
    places = [*sys.path, *map(str, ROOT.glob(".venv-dvc/lib/python3*/site-packages"))]
    found = next(importlib.metadata.distributions(name=name, path=places), None)
    assert found or name in conda_files.read_lock(conda_files.CUDA), f"{name} is not installed; write: make env dvc"
    return found.requires or [] if found else []


def test_every_rule_with_a_script_has_a_conda_file():
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert len(RULES) == text.count("\n    script:\n") > 30
    assert [rule for rule, group, _, _ in RULES if not group or not files_of(group)] == []
    assert sorted(path for group in GROUPS for path in files_of(group)) == FILES, AGAIN


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_versions_and_hashes_equal_those_of_the_lock_files(path):
    lock = locked(path)
    assert {name: version for name, (version, _) in requirements(path).items()} == {
        name: lock[name][0] for name in requirements(path) if name in lock
    }, AGAIN
    for name, (_, hashes) in requirements(path).items():
        assert hashes, name  # one hash makes pip require hashes for all packages
        assert hashes <= lock[name][1], f"{name}: {AGAIN}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_conda_files_take_python_from_conda_and_packages_from_pip(path):
    content = yaml.safe_load(path.read_text())
    assert content["channels"] == ["conda-forge", "nodefaults"]
    python, pip, section = content["dependencies"]
    assert (python, pip, list(section)) == ("python=3.11", "pip", ["pip"])
    options = [line for line in section["pip"] if line.startswith("--")]
    assert options == ([conda_files.CPU_INDEX] if path.stem.endswith("-cpu") else [])


@pytest.mark.parametrize(("rule", "group", "script", "loaded"), RULES, ids=[rule for rule, *_ in RULES])
def test_packages_imported_by_a_script_are_in_its_conda_file(rule, group, script, loaded):
    needed = conda_files.needed_packages(script, loaded)
    of_torch = conda_files.read_lock(conda_files.CUDA).keys() - {"torch"}
    for path in files_of(group):
        missing = (needed if path.stem.endswith("-cuda") else needed - of_torch) - requirements(path).keys()
        assert not missing, f"{path.name}: {AGAIN}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_conda_files_contain_the_dependencies_of_their_packages(path):
    """Otherwise pip refuses the file, as it refuses a package without a hash."""
    wanted = requirements(path)
    pending = {(name, extra) for name in wanted for extra in ("", "s3" if name == "dvc" else "")}
    seen = set()
    while pending:
        name, extra = pending.pop()
        seen.add((name, extra))
        assert name in wanted, f"{name}: {AGAIN}"
        for each in map(Requirement, required(name)):
            if not each.marker or each.marker.evaluate({"extra": extra}):
                below = canonicalize_name(each.name)
                pending |= {(below, more) for more in ("", *each.extras)} - seen


def test_container_recipes_install_the_lock_files_as_make_does():
    docker, apptainer = installs(ENVS / "Dockerfile"), installs(ENVS / "apptainer.def")
    assert docker == apptainer
    installed = {words[words.index("-r") + 1]: words[0] for words in docker}
    dvc = {"envs/lock-dvc.txt": ".venv-dvc/bin/pip"}
    assert installed == {f"envs/lock-{name}.txt": "pip" for name in ("run", "torch-cpu", "torch-cuda", "cluster")} | dvc
    assert all(set(installer.LOCKED) < set(words) for words in docker)
    for name in ("Dockerfile", "apptainer.def"):
        lines = [re.sub("^(RUN|ENV|export) ", "", line) for line in recipe_lines(ENVS / name)]
        assert {"pip check", ".venv-dvc/bin/pip check", "SEGCERT_DVC=/opt/segcert/.venv-dvc/bin/dvc"} <= set(lines)


def test_development_packages_fit_the_runtime_environment():
    """Neither pip nor uv checks both folders together."""
    dev, run = (conda_files.read_lock(lock) for lock in (ENVS / "lock-dev.txt", conda_files.RUN))
    locked = {name: version for name, (version, _) in (run | dev).items()}
    wrong = []
    for name in conda_files.read_lock(ENVS / "lock-dev.txt"):
        for each in map(Requirement, required(name)):
            applies = not each.marker or each.marker.evaluate({"extra": ""})
            version = locked.get(canonicalize_name(each.name))
            if applies and not (version and each.specifier.contains(version, prereleases=True)):
                wrong.append(f"{name} requires {each}, locked: {version}")
    assert wrong == []
    assert not conda_files.read_lock(ENVS / "lock-dev.txt").keys() & conda_files.read_lock(conda_files.RUN).keys()


def test_dvc_is_in_no_other_environment():
    for lock in set(ENVS.glob("lock-*.txt")) - {conda_files.DVC}:
        assert not {"dvc", "diskcache"} & conda_files.read_lock(lock).keys(), lock.name


def test_uv_uses_the_settings_of_pip(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more")
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://first.test/simple\nfind-links = /elsewhere\ntimeout = 60\ncert = /ca.pem\n"
        "extra-index-url =\n    file:///one/simple\n    https://two.test/simple\n"
        "[install]\ntimeout = 90\ntrusted-host = two.test\nno-index = true\n"
    )
    settings = installer.pip_settings(installer._pip())
    assert installer.as_uv_reads(settings) == {
        "UV_DEFAULT_INDEX": "https://first.test/simple",
        "UV_INDEX": "file:///one/simple https://two.test/simple",
        "UV_FIND_LINKS": "/wheels,/more",  # the variable overrides the file, as in pip
        "UV_INSECURE_HOST": "two.test",
        "UV_HTTP_TIMEOUT": "90",
        "SSL_CERT_FILE": "/ca.pem",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    assert installer.Uv("uv", settings).no_index == ["--no-index"]
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "5")
    assert installer.Uv("uv", settings).environment["UV_HTTP_TIMEOUT"] == "5"


def checkout_with(tmp_path, *programs):
    """Copy the Makefile and the installer into a folder without environments, with few programs on its PATH."""
    shutil.copytree(ENVS, tmp_path / "checkout/envs")
    shutil.copy(ROOT / "Makefile", tmp_path / "checkout")
    (tmp_path / "bin").mkdir()
    for program in ("sh", "cat", "make", *programs):
        (tmp_path / "bin" / Path(program).name).symlink_to(shutil.which(program) or program)
    return tmp_path / "checkout"


def make(checkout, *arguments, **variables):
    """Run `make` without access of pip and uv to any index."""
    environment = {"PATH": str(checkout.parent / "bin"), "HOME": str(checkout.parent), "PIP_CONFIG_FILE": os.devnull}
    environment |= {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1", "UV_PYTHON_DOWNLOADS": "never"} | variables
    done = subprocess.run(
        ["make", *arguments], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


NO_PYTHON = """#!/bin/sh
case "$*" in
--version) echo "uv 0.13.9" ;;
"python find"*) exit 2 ;;
"python install"*) echo "error: failed to download" >&2; exit 1 ;;
*) exit 1 ;;
esac
"""


def other_python(folder):
    """Write a `python3` that runs the installer but states a version that the lock files do not support."""
    real = sys.executable
    text = f'#!/bin/sh\ncase "$*" in *version_info*) echo 3.13 ;; *) exec {shlex.quote(real)} "$@" ;; esac\n'
    return script(folder / "python3", text)


def test_without_the_right_python_one_line_says_what_to_type(tmp_path):
    checkout = checkout_with(tmp_path)
    python = other_python(tmp_path / "bin")
    script(tmp_path / "bin/uv", NO_PYTHON)
    code, output = make(checkout, "env", PYTHONPATH="")
    assert code
    assert "make env PYTHON=/path/to/python3.11" in output
    code, output = make(checkout, "env", f"PYTHON={python}")
    assert code
    assert f"PYTHON={python} is Python 3.13; expected Python 3.11" in output
    assert "Traceback" not in output
    assert not (checkout / ".venv").exists()


def test_a_python_that_is_not_on_the_path_is_found_by_uv(tmp_path):
    checkout = checkout_with(tmp_path)
    other_python(tmp_path / "bin")
    asked = NO_PYTHON.replace('"python find"*) exit 2', '"python find"*) echo /hidden/python3.11')
    script(tmp_path / "bin/uv", asked.replace("*) exit 1", 'venv*) echo "asked: $*" >&2; exit 1'))
    code, output = make(checkout, "env")
    assert code
    assert "asked: venv --quiet --no-project --python /hidden/python3.11" in output
    assert not (checkout / ".venv/complete").exists()


def test_pip_installs_if_uv_is_not_available(tmp_path):
    """The lock file has one tiny wheel, pip knows its folder, and uv is missing."""
    checkout = checkout_with(tmp_path)
    (tmp_path / "bin/python3").symlink_to(Path(sys.base_prefix, "bin/python3"))
    wheel = tmp_path / "wheels/tiny-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    lock = checkout / "envs/lock-checkers.txt"
    lock.write_text(f"tiny==1.0 --hash=sha256:{file_digest(wheel)}\n")
    code, output = make(checkout, "checkers", PIP_FIND_LINKS=str(wheel.parent))
    assert code == 0, output
    assert "uv is not available here" in output
    assert list(checkout.glob(".venv-checkers/lib/python3*/site-packages/tiny.py"))
    assert (checkout / ".venv-checkers/complete").exists()
    assert not (checkout / ".venv-uv").exists()


def test_container_recipes_use_the_python_of_the_lock_files():
    texts = [(ENVS / name).read_text() for name in ("Dockerfile", "apptainer.def")]
    images = [re.search(r"^(?:FROM|From:) (python:\S+)", text, re.MULTILINE)[1] for text in texts]
    assert images[0] == images[1]
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", images[0])


def test_files_copied_by_the_container_recipes_exist():
    lines = recipe_lines(ENVS / "Dockerfile")
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    files = re.search(r"^%files\n(.*?)^$", (ENVS / "apptainer.def").read_text(), re.MULTILINE | re.DOTALL)[1]
    assert copied == [line.split()[0] for line in files.strip().splitlines()]
    for name in copied:
        assert (ROOT / name).is_file(), name


def test_the_image_runs_as_an_unprivileged_user():
    lines = recipe_lines(ENVS / "Dockerfile")
    assert lines.index("USER segcert") < lines.index('ENTRYPOINT ["snakemake"]')
    stages = {line.split()[-1] for line in lines if line.startswith("FROM") and " AS " in line}
    assert stages == {"run", "torch-cpu", "torch-cuda", "plugins-none", "plugins-cluster"}


def test_only_lock_files_reach_an_image():
    """An image gets no data, models, results, environments or credentials."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert [line for line in lines if line[:1] != "#"] == ["*", "!envs/lock-*.txt"]
