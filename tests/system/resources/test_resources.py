"""Resources of jobs: threads, memory, time, GPUs."""

import re

import psutil
import yaml
from tests.support.checkout import ROOT

from segcert.plan.snakemake_plan import read_plan

TRAINING = {"train_segmenter", "train_denoiser"}
NETWORKS = TRAINING | {"sample", "predict", "denoise_examples", "score_denoisers", "measure_costs", "attack"}
INDEX = "data/prepared/phantom/index.csv"


def test_rules_state_memory_and_time_and_a_gpu_where_networks_run():
    for file in sorted((ROOT / "rules").glob("*.smk")):
        for rule in re.split(r"(?m)^(?=rule )", file.read_text())[1:]:
            name = re.match(r"rule (\w+)", rule)[1]
            if "localrule: True" not in rule:
                assert "\n        **needs(" in rule, name
            assert ("gpu=" in rule) == (name in NETWORKS), name


def test_a_failed_job_is_retried_with_more_memory(checkout):
    checkout.edit(
        "scripts/prepare_phantom.py", "with recorded", "assert snakemake.resources.mem_mb == 4000\nwith recorded"
    )
    assert checkout.snakemake(INDEX, check=False).returncode != 0
    checkout.snakemake(INDEX, "--retries", "1")


def test_parallel_jobs_share_the_available_memory_and_gpus(checkout, monkeypatch):
    monkeypatch.setenv("VERBOSE", "1")
    said = checkout.snakemake(INDEX).output
    (provided,) = re.findall("Provided resources: (.*)", said)
    assert int(re.search(r"mem_mb\D+(\d+)", provided)[1]) == psutil.virtual_memory().total // 2**20
    assert re.search(r"gpu\D+1\b", provided)
    said = checkout.snakemake(INDEX, "--force", "--resources", "mem_mb=900", "gpu=3").output
    (provided,) = re.findall("Provided resources: (.*)", said)
    assert re.search(r"mem_mb\D+900\b", provided)
    assert re.search(r"gpu\D+3\b", provided)


def test_profiles_agree_on_what_makes_a_job_stale():
    default, gpu = (yaml.safe_load((ROOT / f"profiles/{name}/profile.yaml").read_text()) for name in ("default", "gpu"))
    for key in ("rerun-triggers", "max-checksum-file-size"):
        assert default[key] == gpu[key]


def test_the_gpu_profile_requests_one_gpu_per_job(checkout):
    with checkout.inside():
        jobs = read_plan(["--workflow-profile", "profiles/gpu", "--configfile", "tests/support/tiny.yaml"])
    assert {job.rule for job in jobs if job.stale} >= NETWORKS
    said = checkout.snakemake("-n", "--workflow-profile", "profiles/gpu").output
    assert len(re.findall(r"resources: .*\bgpu=1", said)) >= len(NETWORKS)
