"""Conda files and container recipes hold what the lock files hold."""

import importlib.metadata
import importlib.util
import re
import shlex

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.support.pages import ROOT

ENVS = ROOT / "envs"
SPEC = importlib.util.spec_from_file_location("conda_files", ENVS / "conda.py")
conda_files = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(conda_files)

RULES = list(conda_files.read_rules())
GROUPS = sorted({group for _, group, _, _ in RULES})
FILES = sorted(ENVS.glob("*.yaml"))
AGAIN = "write: make lock"


def files_of(group):
    return [path for path in (ENVS / f"{group}{build}.yaml" for build in ("", "-cpu", "-cuda")) if path.exists()]


def requirements(path):
    """The requirements of the pip section of a conda file: version and hashes by package."""
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
    return conda_files.read_lock(conda_files.COMMON, conda_files.BUILDS[build])


def recipe_lines(path):
    """The lines of a recipe, those that go on after a backslash put together."""
    return [line.strip() for line in path.read_text().replace("\\\n", " ").splitlines()]


def installs(path):
    """The calls of `pip install` of a recipe, in words, in order."""
    lines = [line.removeprefix("RUN ") for line in recipe_lines(path)]
    return [shlex.split(line) for line in lines if line.startswith("pip install")]


def test_every_rule_with_a_script_has_a_conda_file():
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert len(RULES) == text.count("\n    script:\n") > 30
    assert [rule for rule, group, _, _ in RULES if not group or not files_of(group)] == []
    assert sorted(path for group in GROUPS for path in files_of(group)) == FILES, AGAIN


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_versions_and_hashes_are_those_of_the_locks(path):
    lock = locked(path)
    assert {name: version for name, (version, _) in requirements(path).items()} == {
        name: lock[name][0] for name in requirements(path) if name in lock
    }, AGAIN
    for name, (_, hashes) in requirements(path).items():
        assert hashes, name  # one requirement with a hash asks for hashes of all
        assert hashes <= lock[name][1], f"{name}: {AGAIN}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_conda_file_takes_python_from_conda_and_the_rest_from_pip(path):
    content = yaml.safe_load(path.read_text())
    assert content["channels"] == ["conda-forge", "nodefaults"]
    python, pip, section = content["dependencies"]
    assert (python, pip, list(section)) == ("python=3.11", "pip", ["pip"])
    options = [line for line in section["pip"] if line.startswith("--")]
    assert options == ([conda_files.CPU_INDEX] if path.stem.endswith("-cpu") else [])


@pytest.mark.parametrize(("rule", "group", "script", "loaded"), RULES, ids=[rule for rule, *_ in RULES])
def test_what_a_script_imports_is_in_its_file(rule, group, script, loaded):
    needed = conda_files.needed_packages(script, loaded)
    of_torch = conda_files.read_lock(conda_files.CUDA).keys() - {"torch"}
    for path in files_of(group):
        missing = (needed if path.stem.endswith("-cuda") else needed - of_torch) - requirements(path).keys()
        assert not missing, f"{path.name}: {AGAIN}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_conda_file_has_what_its_packages_require(path):
    """Otherwise pip refuses the file, as it does for a package without a hash."""
    wanted = requirements(path)
    pending = {(name, extra) for name in wanted for extra in ("", "s3" if name == "dvc" else "")}
    seen = set()
    while pending:
        name, extra = pending.pop()
        seen.add((name, extra))
        assert name in wanted, f"{name}: {AGAIN}"
        try:
            stated = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:  # the other build of torch
            continue
        for each in map(Requirement, stated):
            if not each.marker or each.marker.evaluate({"extra": extra}):
                required = canonicalize_name(each.name)
                pending |= {(required, more) for more in ("", *each.extras)} - seen


def test_the_recipes_install_the_lock_files_as_make_does():
    docker, apptainer = installs(ENVS / "Dockerfile"), installs(ENVS / "apptainer.def")
    assert docker == apptainer
    makefile = (ROOT / "Makefile").read_text()
    options = shlex.split(re.search(r"^LOCKED = pip install --quiet (.*) -r$", makefile, re.MULTILINE)[1])
    installed = [f"envs/lock-{name}.txt" for name in ("common", "torch-cpu", "torch-cuda", "cluster")]
    assert [words[words.index("-r") + 1] for words in docker] == installed
    assert all(set(options) < set(words) for words in docker)
    assert set(installed) == set(re.findall(r"envs/lock-[\w-]+\.txt", makefile)) - {"envs/lock-checkers.txt"}
    for name in ("Dockerfile", "apptainer.def"):
        assert "pip check" in [line.removeprefix("RUN ") for line in recipe_lines(ENVS / name)]


def test_the_recipes_start_from_the_python_of_the_locks():
    texts = [(ENVS / name).read_text() for name in ("Dockerfile", "apptainer.def")]
    images = [re.search(r"^(?:FROM|From:) (python:\S+)", text, re.MULTILINE)[1] for text in texts]
    assert images[0] == images[1]
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", images[0])


def test_all_that_the_recipes_copy_is_there():
    lines = recipe_lines(ENVS / "Dockerfile")
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    files = re.search(r"^%files\n(.*?)^$", (ENVS / "apptainer.def").read_text(), re.MULTILINE | re.DOTALL)[1]
    assert copied == [line.split()[0] for line in files.strip().splitlines()]
    for name in copied:
        assert (ROOT / name).is_file(), name


def test_the_image_runs_as_nobody_special():
    lines = recipe_lines(ENVS / "Dockerfile")
    assert lines.index("USER segcert") < lines.index('ENTRYPOINT ["snakemake"]')
    stages = {line.split()[-1] for line in lines if line.startswith("FROM") and " AS " in line}
    assert stages == {"common", "torch-cpu", "torch-cuda", "plugins-none", "plugins-cluster"}


def test_nothing_but_lock_files_reaches_an_image():
    """No data, models, results, environments or credentials."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert [line for line in lines if line[:1] != "#"] == ["*", "!envs/lock-*.txt"]
