"""`snakemake crate` against the profiles of RO-Crate, with roc-validator offline (`crate_validator.py`)."""

import json
import shutil
import subprocess

import pytest
from tests.support.checkout import ROOT, copy_checkout

CHECKERS = ROOT / ".venv-checkers/bin"
PROFILES = ["ro-crate-1.1", "provenance-run-crate-0.5"]  # the second includes the profiles of processes and workflows


@pytest.fixture(scope="module")
def validator(tmp_path_factory):
    """Return a function that lists the requirements of a profile that a crate does not meet."""
    if not (CHECKERS / "rocrate-validator").exists():
        pytest.skip(".venv-checkers is not set up (`make test-rest` does): no roc-validator")
    cache = tmp_path_factory.mktemp("validator") / "http"
    subprocess.run([CHECKERS / "python", ROOT / "tests/support/crate_validator.py", cache], check=True)

    def validate(crate, profile):
        report = cache.with_name("report.json")
        options = ["--profile-identifier", profile, "--requirement-severity", "required", "--offline"]
        options += ["--cache-path", cache, "--output-format", "json", "--output-file", report, "--no-paging"]
        command = [CHECKERS / "rocrate-validator", "-y", "validate", *options, crate]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = json.loads(report.read_text())
        assert found["passed"] == (done.returncode == 0)
        assert found["statistics"]["total_skipped_checks"] == 0
        return [issue["message"] for issue in found["issues"]]

    return validate


@pytest.fixture(scope="module")
def crate(finished_once, tmp_path_factory):
    """Return the crate of the finished tiny run, made by Snakemake in a copy of the checkout."""
    copy = copy_checkout(finished_once, tmp_path_factory.mktemp("packed") / "repo")
    assert "The crate of the run tiny: reports/tiny.crate" in copy.snakemake("crate").output
    assert copy.stale() == {}
    return copy.path / "reports/tiny.crate"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_crate_conforms_to_its_profiles(crate, validator, profile):
    assert validator(crate, profile) == []


@pytest.mark.parametrize(
    ("entity", "missing", "message"),
    [
        ("#run", "instrument", "MUST reference the root data entity's mainEntity as its instrument"),
        ("#organize", "object", "An OrganizeAction must reference the ControlAction instances"),
        ("./", "license", "MUST have a `license` property"),
        ("Snakefile", "hasPart", "ComputationalWorkflow MUST refer to orchestrated tools via hasPart"),
    ],
)
def test_the_validator_rejects_a_crate_that_lacks_something(crate, validator, tmp_path, entity, missing, message):
    broken = shutil.copytree(crate, tmp_path / "crate")
    metadata = broken / "ro-crate-metadata.json"
    document = json.loads(metadata.read_text())
    del next(each for each in document["@graph"] if each["@id"] == entity)[missing]
    metadata.write_text(json.dumps(document))
    assert [found for found in validator(broken, "provenance-run-crate-0.5") if message in found]
