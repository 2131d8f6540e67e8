"""Audits as text for a terminal."""

from pathlib import Path

from segcert.audit.audit import Audit, Outcome
from segcert.audit.checks.code import DIRTY
from segcert.audit.findings import OTHER_CODE, Finding
from segcert.audit.text import audit_to_text, trace_row
from segcert.provenance.lineage import Job, Lineage


def text_of(*findings):
    lineage = Lineage(Path(), "tiny", [], [], {}, {})
    return audit_to_text(Audit(lineage, [Outcome("records agree with git", 30, [*findings], 0.5)]), Path("audit.html"))


def dirty(number):
    return Finding(f"results/tiny/{number}.npz", "ran from a dirty tree: ...", broken=False, shared=DIRTY)


def test_notices_of_a_dirty_tree_are_one_line_and_the_verdict_comes_last():
    other = Finding("models.dvc", "does not exist", broken=False)
    lines = text_of(*map(dirty, range(25)), other).splitlines()
    assert [line for line in lines if "dirty" in line] == [f"  25 results {DIRTY}"]
    assert "  models.dvc: does not exist" in lines
    assert "The page: audit.html" in lines
    assert lines[-2:] == [
        "Notices, which break no link: 26",
        "The audit of tiny passed: every link holds.",
    ]


def test_a_verdict_says_how_many_results_were_not_recomputed():
    undone = Finding("results/tiny/a.npz", "ran with another file", broken=False, shared=OTHER_CODE)
    assert text_of(undone).endswith("but 1 results were made by different code and were not recomputed.")


def test_a_verdict_that_fails_names_the_first_broken_link_last():
    lines = text_of(dirty(1), Finding("models/a", "was changed")).splitlines()
    assert f"  1 result {DIRTY}" in lines
    assert lines[-2:] == ["The audit of tiny FAILED. The first broken link:", "  models/a: was changed"]


def job(rule, wildcards, inputs, outputs):
    record = {"rule": rule, "wildcards": wildcards, "inputs": inputs, "outputs": outputs, "started": "2026-01-01"}
    return Job(f"{next(iter(outputs))}.record.json", record | {"git": {"commit": "1" * 40, "clean": True}})


def test_a_trace_starts_with_the_row_and_counts_the_raw_files():
    raw = {f"own/images/{number:03}.jpg": "a" * 64 for number in range(160)}
    pairing = {"dataset": "own", "model": "unet", "regime": "clean", "denoiser": "none"}
    jobs = [
        job("record_folder", {"dataset": "own"}, raw, {"data/raw/own/manifest.json": "b" * 64}),
        job("sample", pairing | {"sigma": "0.5"}, {"data/raw/own/manifest.json": "b" * 64}, {"votes_0.5": "c" * 64}),
        job("sample", pairing | {"sigma": "1"}, {"data/raw/own/manifest.json": "b" * 64}, {"votes_1": "d" * 64}),
        job("certify", pairing, {"votes_0.5": "c" * 64, "votes_1": "d" * 64},
            {f"results/r/certificates/own/unet-clean/none/sigma_{sigma}.npz": "e" * 64 for sigma in ("0.5", "1")}),
    ]  # fmt: skip
    lines = trace_row(Lineage(Path(), "r", jobs, [], {}, {}), "own/unet/clean/none/0.5").splitlines()
    assert lines[0].startswith("The row own/unet/clean/none/0.5 of the run r")
    assert [line.split("  (")[0] for line in lines[1:] if not line.startswith(" ")] == [
        "certify own unet clean none",
        "sample own unet clean none 0.5",
        "record_folder own",
    ]
    assert lines[2] == f"  made  {'e' * 16}  results/r/certificates/own/unet-clean/none/sigma_0.5.npz"
    assert lines[-7:-4] == [
        "  read  160 files that no job made, such as",
        f"  read  {'a' * 16}  own/images/000.jpg",
        f"  read  {'a' * 16}  own/images/001.jpg",
    ]
    assert lines[-1] == "  and 155 more"
