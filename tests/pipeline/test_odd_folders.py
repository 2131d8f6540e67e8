"""Unusual folder names: a checkout either works, or the first command rejects the name with a one-line error."""

import shutil
import subprocess
import sys
import sysconfig

import pytest
from tests.support.checkout import ROOT, TINY, Checkout, run_in

from segcert.plan.snakemake_plan import PlanError

REFUSED = " \t\n'\"`$&;|<>(){}[]*?!#%:\\"
ACCEPTED = "Zoë+東京_-,@=~^"


@pytest.fixture
def in_folder(tmp_path):
    """Return a function that makes a checkout in a folder with a given name, with the files that a plan reads."""

    def make(name):
        path = tmp_path / name / "repo"
        for folder in ("rules", "scripts", "config", "profiles", "envs", "workflow"):
            shutil.copytree(ROOT / folder, path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.sif"))
        for file in ("Snakefile", "Makefile", "pyproject.toml", TINY):
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, path / file)
        return Checkout(path)

    return make


def make_run(checkout):
    # If make runs the tests, these variables would cause the inner make to print the folders that it enters.
    return run_in(checkout.path, "env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "-n", "run", check=False)


@pytest.mark.parametrize("odd", REFUSED, ids=lambda odd: f"{ord(odd):#x}")
def test_a_path_with_shell_characters_is_refused_by_make_and_by_a_plan(in_folder, odd):
    checkout = in_folder(f"a{odd}b")
    done = make_run(checkout)
    assert done.returncode
    (line,) = done.output.splitlines()
    assert "The path of this folder contains a character" in line
    with pytest.raises(PlanError, match="in a path; a job's shell") as refused:
        checkout.stale()
    (line,) = (line for line in str(refused.value).splitlines() if "in a path; a job's shell" in line)
    assert repr(odd) in line


def test_a_path_with_letters_of_any_language_works(in_folder):
    checkout = in_folder(ACCEPTED)
    assert "bin/snakemake" in make_run(checkout).stdout
    assert checkout.stale("data/prepared/phantom/index.csv") == {"prepare_phantom": 1}
    checkout.snakemake("data/prepared/phantom/index.csv")
    assert (checkout.path / "data/prepared/phantom/index.csv").exists()


def test_an_environment_in_a_path_with_spaces_is_refused(in_folder, tmp_path):
    checkout = in_folder("plain")
    environment = tmp_path / "its environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    packages = next(environment.glob("lib/python3*/site-packages"))
    (packages / "tests.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    done = run_in(checkout.path, environment / "bin/python", *checkout.command("-n")[1:], check=False)
    assert done.returncode
    said = f"'{environment}/bin/python': found ' ' in a path; a job's shell would interpret such characters"
    assert said in done.output


def test_a_plan_refuses_data_behind_a_symbolic_link(in_folder, tmp_path):
    checkout = in_folder("plain")
    (checkout.path / "data").symlink_to(tmp_path)
    with pytest.raises(PlanError, match=r"data: is a link to .*mount --bind"):
        checkout.stale()
