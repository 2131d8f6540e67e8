"""Audits as text for a terminal."""

from pathlib import Path

from segcert.audit.audit import Audit, Outcome
from segcert.audit.checks.code import DIRTY
from segcert.audit.findings import OTHER_CODE, Finding
from segcert.audit.text import audit_in_words
from segcert.provenance.lineage import Lineage


def text_of(*findings):
    lineage = Lineage(Path(), "tiny", [], [], {}, {})
    return audit_in_words(Audit(lineage, [Outcome("records agree with git", 30, [*findings], 0.5)]), Path("audit.html"))


def dirty(number):
    return Finding(f"results/tiny/{number}.npz", "ran from a dirty tree: ...", broken=False, shared=DIRTY)


def test_notices_of_a_dirty_tree_are_one_line_and_the_verdict_comes_last():
    other = Finding("models.dvc", "is not here", broken=False)
    lines = text_of(*map(dirty, range(25)), other).splitlines()
    assert [line for line in lines if "dirty" in line] == [f"  25 jobs {DIRTY}"]
    assert "  models.dvc: is not here" in lines
    assert "The page: audit.html" in lines
    assert lines[-2:] == [
        "Notices, which break no link: 26",
        "The audit of tiny passed: every link holds.",
    ]


def test_a_verdict_says_how_many_results_were_not_checked_again():
    undone = Finding("results/tiny/a.npz", "ran with another file", broken=False, shared=OTHER_CODE)
    assert text_of(undone).endswith("but 1 results were made by other code than is here and not made again.")


def test_a_verdict_that_fails_names_the_first_broken_link_last():
    lines = text_of(dirty(1), Finding("models/a", "was changed")).splitlines()
    assert f"  1 job {DIRTY}" in lines
    assert lines[-2:] == ["The audit of tiny FAILED. The first broken link:", "  models/a: was changed"]
