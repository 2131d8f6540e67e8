"""Audits: the command, forged and damaged runs, uncommitted changes, redrawn votes."""

import json
import os
import shutil

import numpy as np
import pytest
from tests.pipeline.forgeries import FORGERIES, QUICK, check_forgery, sign_all
from tests.pipeline.perturbations import CERTIFICATE, MODEL, PAGE, ROWS, VOTES, delete, write

from segcert.audit.audit import CHECKS
from segcert.audit.checks.replay import replay_check
from segcert.audit.page import write_audit
from segcert.audit.text import trace_row
from segcert.provenance.digests import file_digest
from segcert.provenance.lineage import Lineage, LineageError
from segcert.votes import Votes, load_votes, save_votes

PREDICTIONS = "results/tiny/predictions/phantom/unet-clean.npz"
DECIDED = "results/tiny/certificates/phantom/unet-clean/none/sigma_0.25.npz"  # its record is about both noise levels


def test_snakemake_audit_writes_its_reports_and_fails_for_a_broken_link(finished):
    done = finished.snakemake("audit")
    assert "votes give the certificates" in done.output
    assert "The audit of tiny passed: every link holds." in done.output
    found = json.loads((finished.path / "reports/tiny/audit.json").read_text())
    assert found["passed"]
    assert all(check["count"] for check in found["checks"] if "archives" not in check["title"])
    assert "<svg" in (finished.path / "reports/tiny/audit.html").read_text()
    assert finished.stale() == {}, "an audit makes nothing stale"

    path = finished.path / MODEL
    path.write_bytes(path.read_bytes() + b"x")
    done = finished.snakemake("audit", check=False)
    assert done.returncode == 1
    assert (
        f"The first broken link:\n  {MODEL}: was changed after `train_segmenter phantom unet clean` made it"
        in done.output
    )
    found = json.loads((finished.path / "reports/tiny/audit.json").read_text())
    assert not found["passed"]
    assert found["first_broken"]["path"] == MODEL
    assert {VOTES, ROWS, PAGE} <= set(found["downstream"])
    assert "results/tiny/predictions/phantom/unet-noise.npz" not in found["downstream"]
    page = (finished.path / "reports/tiny/audit.html").read_text()
    assert "made from broken files" in page
    assert MODEL in page


def forge_votes(checkout):
    """Move one draw of a pixel to another class, with digests that fit."""
    path = checkout.path / VOTES
    votes = load_votes(path)
    image, honest = next(iter(votes.items()))
    estimation, areas = honest.estimation.copy(), honest.areas.astype(np.int64)
    least = np.unravel_index(estimation[1].argmin(), estimation[1].shape)
    assert estimation[0][least] > 0
    estimation[0][least] -= 1
    estimation[1][least] += 1
    areas[-1] += [-1, 1] + [0] * (areas.shape[1] - 2)
    values = {name: getattr(honest, name) for name in Votes.__dataclass_fields__}
    votes[image] = Votes(**(values | {"estimation": estimation, "areas": areas.astype(honest.areas.dtype)}))
    save_votes(path, votes)
    return image


@pytest.mark.parametrize("name", [name for name in FORGERIES if name not in QUICK])
def test_forged_numbers_are_found_even_if_every_digest_fits(finished, name):
    check_forgery(finished, name)


def test_a_job_with_other_settings_than_the_page_is_found(finished):
    finished.snakemake(f"{CERTIFICATE}.npz", "--config", "tau=0.7")
    found = {finding.message for outcome in finished.audit().outcomes for finding in outcome.broken}
    assert "`certify phantom unet clean none` ran with tau 0.7, but the page says 0.75" in found


def halve(checkout):
    os.truncate(checkout.path / f"{CERTIFICATE}.npz", 300)


def put_a_folder_in_place_of_a_model(checkout):
    (checkout.path / MODEL).unlink()
    (checkout.path / MODEL).mkdir()


def edit_a_record_and_its_copy(checkout):
    for folder in ("", "results/.trail/records/"):
        checkout.edit(f"{folder}{MODEL}.record.json", '"seconds"', '"seed": 7, "seconds"')


TABLE, FIGURE = "reports/tiny/tables/main.csv", "reports/tiny/figures/headline.png"
SPOILED = {
    "an empty certificate": (write(f"{CERTIFICATE}.npz"), f"{CERTIFICATE}.npz"),
    "half a certificate": (halve, f"{CERTIFICATE}.npz"),
    "empty predictions": (write(PREDICTIONS), PREDICTIONS),
    "an empty figure": (write(FIGURE), FIGURE),
    "a table that is gone": (delete(TABLE), TABLE),
    "a page of no text": (write(PAGE, b'<tr data-table="main">\xff'), PAGE),
    "an empty pointer": (write("models.dvc"), "models.dvc"),
    "a pointer with marks of a conflict": (write("models.dvc", b"<<<<<<< HEAD\nouts:\n"), "models.dvc"),
    "a pointer that is gone": (delete("results.dvc"), "results.dvc"),
    "a record without its fields": (write(f"{VOTES}.record.json", b'{"format": "segcert-record-2"}'), VOTES),
    "a folder in place of a model": (put_a_folder_in_place_of_a_model, MODEL),
    "a record and its packed copy edited": (edit_a_record_and_its_copy, MODEL),
}


@pytest.mark.parametrize("name", SPOILED)
def test_damaged_files_are_named_and_do_not_stop_a_plan(finished, name):
    spoil, where = SPOILED[name]
    spoil(finished)
    finished.stale()
    assert finished.audit().first.path.removesuffix(".record.json") == where


def test_backups_and_stray_records_are_ignored(finished):
    shutil.copytree(finished.path / "results/tiny", finished.path / "results/tiny_before")
    record = json.loads((finished.path / f"{MODEL}.record.json").read_text())
    (finished.path / "models/stray.record.json").write_text(json.dumps(record | {"seed": 7}))
    audit = finished.audit()
    assert finished.stale() == {}
    assert audit.passed
    assert "models/stray.record.json" in audit.lineage.misplaced
    assert audit.lineage.makers[MODEL].record["seed"] == 0


def test_a_job_that_ran_again_with_the_same_output_is_a_notice(finished):
    finished.snakemake("--force", PREDICTIONS)
    assert finished.stale() == {}
    audit = finished.audit()
    assert audit.passed
    newer = [finding.path for outcome in audit.outcomes for finding in outcome.notices if "newer" in finding.message]
    assert newer == [f"{PREDICTIONS}.record.json"]


def test_redrawn_votes_agree_and_reveal_forged_ones(finished):
    everything = CHECKS | replay_check(1000, seed=1)
    honest = finished.audit(checks=everything).outcomes[-1]
    assert (honest.count, honest.findings) == (4 * 2 * 3 + 2, [])

    image = forge_votes(finished)
    sign_all(finished)
    with np.load(finished.path / PREDICTIONS) as labels:
        np.savez_compressed(finished.path / PREDICTIONS, **{name: labels[name] ^ 1 for name in labels.files})
    found = finished.audit(checks=everything).outcomes[-1]
    assert [finding.path for finding in found.broken] == [VOTES, PREDICTIONS]
    assert f"the redrawn votes of {image} differ in areas, estimation" in found.broken[0].message


def test_certificates_made_with_uncommitted_changes_are_marked(finished):
    clean = finished.audit()
    assert not [finding for outcome in clean.outcomes for finding in outcome.notices if "dirty" in finding.message]
    finished.edit("scripts/segcert/certification/multiple_testing.py", "len(histogram) - 1", "len(histogram) - 2 + 1")
    (finished.path / "scripts/segcert/certification/new.py").write_text("VALUE = 1\n")
    finished.snakemake(f"{CERTIFICATE}.npz")
    audit = finished.audit()
    with finished.inside():
        page = write_audit(audit).read_text()
    dirty = [finding for outcome in audit.outcomes for finding in outcome.notices if "dirty" in finding.message]
    assert [finding.path for finding in dirty] == [DECIDED]
    assert "multiple_testing.py, scripts/segcert/certification/new.py" in dirty[0].message
    assert "2 certificates come from a dirty tree" in page

    path = finished.path / f"{DECIDED}.record.json"
    record = json.loads(path.read_text())
    record["git"] |= {"clean": True, "changed": []}
    path.write_text(json.dumps(record, indent=2) + "\n")
    found = next(outcome for outcome in finished.audit().outcomes if outcome.title == "records agree with git")
    assert [finding.path for finding in found.broken] == [DECIDED]
    different = "ran a different version of scripts/segcert/certification/multiple_testing.py"
    assert different in found.broken[0].message


def test_files_that_a_run_no_longer_needs_are_a_notice(finished):
    """The record about both noise levels is next to the certificate of the removed level."""
    settings = "--config", "sigmas=[0.5]", "attack={images: 0}"  # faster without attacks
    finished.snakemake(*settings)
    assert finished.stale(*settings) == {}
    assert finished.stale(*settings, "tau=0.7")["certify"] == 4
    audit = finished.audit()
    assert audit.passed
    over = {finding.path for outcome in audit.outcomes for finding in outcome.notices if "left over" in finding.message}
    assert DECIDED in over
    assert not any("sigma_0.5" in path for path in over)


def test_the_trace_of_a_row_leads_back_to_the_data(finished_once):
    with finished_once.inside():
        trace = trace_row(Lineage.read("tiny"), "phantom/unet/clean/ddpm/0.5")
        with pytest.raises(LineageError, match="no such row in the run tiny; expected dataset/model"):
            trace_row(Lineage.read("tiny"), "phantom/unet/clean/ddpm/7")
        with pytest.raises(LineageError, match=r"contains no run records\. Runs in this checkout: tiny"):
            Lineage.read("other")
    row, *lines = trace.splitlines()
    assert row.startswith("The row phantom/unet/clean/ddpm/0.5 of the run tiny")
    first, *jobs, last = [line.split("  (")[0] for line in lines if not line.startswith(" ")]
    assert first == "certify phantom unet clean ddpm"
    assert last == "prepare_phantom phantom"
    networks = ["predict phantom unet clean", "train_denoiser phantom", "train_segmenter phantom unet clean"]
    assert sorted(jobs) == sorted([*networks, "sample phantom unet clean ddpm 0.5 0"])
    assert f"made  {file_digest(finished_once.path / MODEL)[:16]}  {MODEL}" in trace
