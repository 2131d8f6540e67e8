"""Run records of a real run: they are complete, and jobs import only packages in their locked environment."""

import importlib.metadata
import json

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from segcert.provenance.digests import file_digest, value_digest
from segcert.provenance.environment import LOCKS
from segcert.provenance.lineage import Lineage

FIELDS = """
format rule wildcards params inputs outputs code environment locks packages git python machine processor driver seed
threads started ended seconds peak_memory_mib exit
"""
# Optional dependencies that other packages import if they are installed. They do not influence the outputs.
WITHOUT_INFLUENCE = {"backports-zstd", "brotli", "colorama", "pydot", "segcert", "setuptools", "tqdm"}
PROBED_BY_MONAI = """
cycler fonttools imagecodecs kiwisolver lazy-loader matplotlib pandas pyarrow pydicom pyjpegls pylibjpeg
pylibjpeg-openjpeg pyparsing python-dateutil python-gdcm pywavelets scikit-image six tifffile
"""


@pytest.fixture(scope="module")
def jobs(finished_once):
    return Lineage.read("tiny", finished_once.path).jobs


def required(name):
    """Return the direct and indirect dependencies of an installed package."""
    found, pending = set(), {name}
    while pending:
        each = pending.pop()
        if each in found:
            continue
        found.add(each)
        try:
            stated = [Requirement(line) for line in importlib.metadata.requires(each) or ()]
        except importlib.metadata.PackageNotFoundError:
            continue
        pending |= {canonicalize_name(need.name) for need in stated if not need.marker or need.marker.evaluate()}
    return found


def test_every_record_is_complete_and_consistent(jobs, finished_once):
    assert len(jobs) > 30
    for job in jobs:
        record = job.record
        assert set(record) - {"device", "holds", "decisions"} == set(FIELDS.split())
        first = {"most": 1, "later": 0} if record["rule"] in ("certify", "collect") else None
        assert record.get("decisions") == first, "a first run decides once"
        assert record["exit"] == "finished"
        assert record["git"] | {"commit": ""} == {"commit": "", "clean": True, "changed": []}
        assert value_digest(record["code"]) == record["params"]["code"]
        assert value_digest(record["environment"]) == record["params"]["environment"]
        assert record["locks"] == {lock: file_digest(finished_once.path / lock) for lock in LOCKS}
        assert record["started"] <= record["ended"]
        assert record["peak_memory_mib"] > 20
    assert {job.record["device"] for job in jobs if job.rule == "sample"} == {"cpu, 1 threads"}
    assert {job.record["seed"] for job in jobs if job.rule == "train_denoiser"} == {0}
    with_network = {job.rule for job in jobs if "segcert/networks/unet.py" in job.record["code"]}  # loaded by name
    assert with_network == {"train_segmenter", "predict", "sample", "attack", "measure_costs"}


def test_imported_packages_are_in_the_locked_environment(jobs):
    tools = required("snakemake") | WITHOUT_INFLUENCE
    for job in jobs:
        allowed = tools | (set(PROBED_BY_MONAI.split()) if job.rule == "train_segmenter" else set())
        assert set(job.record["packages"]) - set(job.record["environment"]) <= allowed, job.name
        assert not {"ruff", "mypy", "pytest", "snakemake"} & set(job.record["environment"])
        assert ("dvc" in job.record["environment"]) == job.rule.startswith("version_")


def test_a_failed_job_leaves_its_record_next_to_its_log(finished):
    (finished.path / "models/segmenter/phantom/unet-clean/config.json").write_text("[]")
    output = "results/tiny/predictions/phantom/unet-clean.npz"
    assert finished.snakemake(output, check=False).returncode
    failure = finished.path / "logs/tiny/predict/phantom/unet-clean.log.record.json"
    record = json.loads(failure.read_text())
    assert (record["rule"], record["exit"]) == ("predict", "failed")
    assert "does not describe a segmenter" in record["error"]
    finished.dvc("checkout", "--force", "-q", "models.dvc")
    finished.snakemake(output)
    assert not failure.exists()


def test_code_edited_after_the_plan_stops_the_job(finished):
    """Otherwise, the record would not describe the code that ran."""
    rules = finished.path / "rules/provenance.smk"  # read last, after the code digests were computed
    edit = "(SCRIPTS / 'predict.py').open('a').write('VALUE = 1\\n')"
    rules.write_text(f"{rules.read_text()}\n\n{edit}\n")
    output = "results/tiny/predictions/phantom/unet-clean.npz"
    done = finished.snakemake("--force", output, check=False)
    assert done.returncode
    assert "scripts/predict.py: changed after this run was planned; run snakemake again" in done.output
