"""Deployment: segcert as a module of snakedeploy's workflow/Snakefile, from a git host, a local path, or `gh:`."""

import re
import shutil
import sys

import pytest
import yaml
from tests.support.checkout import ROOT, TINY, run_in

MODULE = """
configfile: "config/config.yaml"


module segcert:
    snakefile:
        {snakefile}
    config:
        config


use rule * from segcert
"""
ON_A_HOST = 'github("acme/segcert", path="workflow/Snakefile", branch="main")'
ADDRESS = "gh:acme/segcert@v1"


@pytest.fixture
def deployed(checkout, tmp_path):
    """Return a function that runs Snakemake in a folder of snakedeploy; a local repository replaces the git host."""
    checkout.commit_everything()
    checkout.git("tag", "v1")
    checkout.git("clone", "-q", "--bare", checkout.path, tmp_path / "host/acme/segcert")
    folder = tmp_path / "deployed"
    for name in ("config", "profiles"):
        shutil.copytree(checkout.path / name, folder / name)
    shutil.copy(checkout.path / TINY, folder / "config/tiny.yaml")
    redirect = {"KEY_0": f"url.file://{tmp_path}/host/.insteadOf", "VALUE_0": "https://github.com/", "COUNT": "1"}
    environment = {f"GIT_CONFIG_{name}": value for name, value in redirect.items()}

    def run(snakefile, *arguments):
        if snakefile == ADDRESS:
            arguments = (*arguments, "--snakefile", ADDRESS)
        else:
            (folder / "workflow").mkdir(exist_ok=True)
            (folder / "workflow/Snakefile").write_text(MODULE.format(snakefile=snakefile))
        command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "config/tiny.yaml"]
        return run_in(folder, *command, XDG_CACHE_HOME=str(tmp_path / "cache"), **environment).output

    run.folder = folder
    return run


def planned(output):
    table = output.split("Job stats:")[1].split("total")[0]
    return dict(re.findall(r"^(\w+) +(\d+)$", table, re.M))


def test_a_deployed_workflow_plans_the_whole_run(deployed, checkout):
    on_host = planned(deployed(ON_A_HOST, "-n"))
    assert on_host["sample"] == "8"
    assert on_host["version_results"] == "1"
    assert planned(deployed(f'"{checkout.path}/workflow/Snakefile"', "-n")) == on_host


@pytest.mark.parametrize("snakefile", [ON_A_HOST, ADDRESS], ids=["module", "address"])
def test_a_deployed_workflow_runs_the_sources_of_its_version(deployed, checkout, snakefile):
    said = deployed(snakefile, "data/prepared/phantom/index.csv", "--cores", "1")
    assert "Using workflow specific profile profiles/default" in said
    commit = checkout.git("rev-parse", "HEAD").strip()
    assert [path.name for path in (deployed.folder / ".segcert/source").iterdir()] == [commit]
    assert len(list((deployed.folder / "data/prepared/phantom/images").iterdir())) == 13
    assert not (checkout.path / "data/prepared").exists()


def test_the_catalog_names_an_existing_configuration():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    flag, configuration = usage["mandatory-flags"]["flags"].split()
    assert flag == "--configfile"
    assert (ROOT / configuration).exists()
    assert usage["report"] is True
