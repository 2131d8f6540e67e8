"""Reruns: a change reruns exactly the jobs that it affects."""

import re

import pandas as pd
import pytest
from tests.pipeline.perturbations import AFTER_CERTIFY
from tests.support.checkout import TINY


def test_a_finished_run_names_its_report_and_is_up_to_date(finished_once):
    said = finished_once.first_output
    jobs = int(re.search(r"^(\d+) jobs to run", said, re.MULTILINE)[1])
    assert len(said.splitlines()) < jobs + 15
    assert len(re.findall(rf"^ *\d+/{jobs} +[\d.]+ s  \w", said, re.MULTILINE)) == jobs, "one line per job"
    assert re.search(
        r"^phantom, unet, sigma 0.5:\n(  certified Dice, .* \d\.\d{3}\n){2}  pixels .*%$", said, re.MULTILINE
    )
    assert "The report of the run tiny: reports/tiny/index.html" in said
    assert f"snakemake audit --configfile {TINY}" in said
    assert "Nothing to be done" in finished_once.snakemake().output


AFTER_ATTACK = {rule: jobs for rule, jobs in AFTER_CERTIFY.items() if rule not in ("certify", "pictures")}


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ("method=holm", AFTER_CERTIFY),
        ("decisions=[]", AFTER_CERTIFY),
        ("attack={steps: 3}", AFTER_ATTACK),
        ("compare=[tiny,other]", {}),
    ],
)
def test_a_setting_reruns_only_what_it_affects(finished_once, change, stale):
    assert finished_once.stale("--config", change) == stale


def test_changed_code_reruns_training_or_the_preparation_of_data(finished):
    finished.edit("scripts/segcert/training/loop.py", "MAX_GRADIENT_NORM = 1.0", "MAX_GRADIENT_NORM = 2.0")
    stale = finished.stale()
    assert stale["train_segmenter"] == 2
    assert stale["train_denoiser"] == 1
    assert "prepare_phantom" not in stale
    finished.edit("scripts/segcert/data/phantom.py", "OVERSAMPLING = 2", "OVERSAMPLING = 3")
    assert finished.stale()["prepare_phantom"] == 1


def test_changing_the_text_of_a_model_card_retrains_nothing(finished):
    finished.edit("scripts/segcert/report/templates/segmenter_card.md.j2", "Limits", "Bounds")
    stale = finished.stale()
    assert stale["segmenter_card"] == 2
    assert not any(rule.startswith(("train", "sample")) for rule in stale)


def test_every_job_is_timed_and_benchmark_files_make_nothing_stale(finished):
    stages = pd.read_csv(finished.path / "reports/tiny/tables/stages.csv")
    assert (stages["measured"] == stages["jobs"]).all()
    jobs = stages.set_index("rule")["jobs"]
    assert (jobs["certify"], jobs["sample"], jobs["train_segmenter"], jobs["curves"]) == (4, 8, 2, 1)
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


def test_temporary_files_and_records_do_not_change_the_pointer(finished):
    before = (finished.path / "data.dvc").read_text()
    for name in (
        "data/prepared/.phantom.x1.part/images/a.png",
        "data/raw/.a.x2.part.zip",
        "data/raw/a.zip.rejected",
        "data/raw/a.zip.unverified.part",
    ):
        path = finished.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left by a killed job")
    finished.edit("data/prepared/phantom/index.csv.record.json", '"seconds"', '"second"')
    finished.snakemake("--force", "data.dvc")
    assert (finished.path / "data.dvc").read_text() == before


def test_git_status_is_clean_after_a_run(finished_once):
    assert finished_once.git("status", "--porcelain").replace(" M data.dvc\n", "") == ""
