"""What is done again, and what is not."""

import os
import re
import subprocess

import pandas as pd
import pytest
from tests.support.checkout import TINY

AFTER_CERTIFY = {
    "certify": 8, "attack": 4, "collect": 1, "tables": 1, "curves": 1, "costs": 1, "gallery": 1, "viewer": 1,
    "latex": 1, "summary": 1, "check": 1, "stages": 1, "page": 1, "version_results": 1,
}  # fmt: skip


def test_a_finished_run_says_where_the_report_is_and_has_nothing_left_to_do(finished_once):
    said = finished_once.first_output
    jobs = int(re.search(r"^(\d+) jobs to run", said, re.MULTILINE)[1])
    assert len(said.splitlines()) < jobs + 15
    assert len(re.findall(rf"^ *\d+/{jobs} +[\d.]+ s  \w", said, re.MULTILINE)) == jobs, "a line per job"
    assert re.search(
        r"^phantom, unet, sigma 0.5:\n(  certified Dice, .* \d\.\d{3}\n){2}  pixels .*%$", said, re.MULTILINE
    )
    assert "The report of the run tiny: reports/tiny/index.html" in said
    assert f"snakemake audit --configfile {TINY}" in said
    assert "Nothing to be done" in finished_once.snakemake().output


def test_a_new_sigma_runs_its_own_sampling_certification_and_the_report(finished):
    finished.edit("tests/support/tiny.yaml", "[0.25, 0.5]", "[0.25, 0.5, 2.0]")
    assert finished.stale() == AFTER_CERTIFY | {"sample": 4, "certify": 4, "denoise_examples": 1, "score_denoisers": 1}


def test_tau_runs_no_sampling(finished):
    assert finished.stale("--config", "tau=0.7") == AFTER_CERTIFY


def test_more_draws_train_nothing(finished):
    assert finished.stale("--config", "draws=60") == AFTER_CERTIFY | {"sample": 8}


def test_a_method_and_a_decision_run_no_sampling(finished):
    assert finished.stale("--config", "method=holm") == AFTER_CERTIFY
    assert finished.stale("--config", "decisions=[]") == AFTER_CERTIFY


def test_attack_settings_run_attacks_and_the_report(finished):
    after = {rule: jobs for rule, jobs in AFTER_CERTIFY.items() if rule not in ("certify", "gallery", "viewer")}
    assert finished.stale("--config", "attack={steps: 3}") == after


@pytest.mark.parametrize("key", ["device=cpu", "mirror=elsewhere", "compare=[tiny,other]"])
def test_where_things_run_and_come_from_makes_nothing_stale(finished, key):
    assert finished.stale("--config", key) == {}


def test_a_comment_or_a_docstring_in_the_library_runs_nothing(finished):
    finished.edit("scripts/segcert/training/loop.py", "prepared.train()", "prepared.train()  # a comment")
    finished.edit("scripts/segcert/certification/certificate.py", '"""Decide each', '"""Judge each')
    finished.edit("scripts/certify.py", "import pandas as pd", "# a comment\nimport pandas as pd")
    assert finished.stale() == {}


def test_code_of_certification_runs_certification_and_what_follows(finished):
    finished.edit("scripts/segcert/certification/multiple_testing.py", "n + 1 means", "1 + n means")
    finished.edit("scripts/segcert/certification/multiple_testing.py", "len(histogram) - 1", "len(histogram) - 2 + 1")
    assert finished.stale() == AFTER_CERTIFY


def test_code_of_the_loop_trains_again_and_code_of_the_phantom_starts_over(finished):
    finished.edit("scripts/segcert/training/loop.py", "MAX_GRADIENT_NORM = 1.0", "MAX_GRADIENT_NORM = 2.0")
    stale = finished.stale()
    assert stale["train_segmenter"] == 2
    assert stale["train_denoiser"] == 1
    assert "prepare_phantom" not in stale
    finished.edit("scripts/segcert/data/phantom.py", "OVERSAMPLING = 2", "OVERSAMPLING = 3")
    assert finished.stale()["prepare_phantom"] == 1


def test_the_words_of_a_card_train_nothing(finished):
    finished.edit("scripts/segcert/reporting/templates/segmenter_card.md.j2", "Limits", "Bounds")
    stale = finished.stale()
    assert stale["segmenter_card"] == 2
    assert not any(rule.startswith(("train", "sample")) for rule in stale)


def test_touched_files_run_nothing(finished):
    for pattern in (
        "data/prepared/phantom/index.csv",
        "models/**/*.safetensors",
        "results/**/*.npz",
        "scripts/**/*.py",
    ):
        for path in finished.files(pattern):
            os.utime(path)
    assert finished.stale() == {}


def test_every_job_is_measured_and_no_benchmark_file_makes_a_job_stale(finished):
    stages = pd.read_csv(finished.path / "reports/tiny/tables/stages.csv")
    assert (stages["measured"] == stages["jobs"]).all()
    jobs = stages.set_index("rule")["jobs"]
    assert (jobs["certify"], jobs["sample"], jobs["train_segmenter"], jobs["curves"]) == (8, 8, 2, 1)
    for path in finished.files("logs/**/*.tsv"):
        if "certify" in path.parts:
            path.unlink()
        else:
            path.write_text("spoiled")
    assert finished.stale() == {}
    finished.snakemake("--force", "reports/tiny/tables/stages.csv")
    stages = pd.read_csv(finished.path / "reports/tiny/tables/stages.csv")
    assert (stages["measured"] == 0).all()
    assert (stages["seconds"] > 0).all()


def test_a_changed_model_is_noticed(finished):
    path = finished.path / "models/segmenter/phantom/unet-clean/config.json"
    path.write_text(path.read_text() + "\n")
    stale = finished.stale()
    assert stale["sample"] == 4
    assert stale["predict"] == stale["segmenter_card"] == 1


def test_leftovers_and_records_do_not_change_the_pointer(finished):
    before = (finished.path / "data.dvc").read_text()
    for leftover in (
        "data/prepared/.phantom.x1.part/images/a.png",
        "data/raw/.a.x2.part.zip",
        "data/raw/a.zip.rejected",
        "data/raw/a.zip.unverified.part",
    ):
        path = finished.path / leftover
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left by a killed job")
    finished.edit("data/prepared/phantom/index.csv.record.json", '"seconds"', '"second"')
    finished.snakemake("--force", "data.dvc")
    assert (finished.path / "data.dvc").read_text() == before


def test_git_status_is_clean_after_a_run(finished_once):
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=finished_once.path, capture_output=True, text=True, check=True
    )
    assert status.stdout.replace(" M data.dvc\n", "") == ""
