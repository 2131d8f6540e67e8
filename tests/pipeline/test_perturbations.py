"""One perturbation of each kind and two forgeries. The others are tested in tests/system/perturbations and audit."""

import re

import pytest
from tests.pipeline import forgeries
from tests.pipeline.perturbations import (
    ASKED,
    HARMFUL,
    HARMLESS,
    QUICK,
    check_harmful,
    check_harmless,
    check_plan,
    in_tier,
)
from tests.support.checkout import ROOT


@pytest.mark.parametrize("name", ASKED)
def test_a_plan_with_other_keys_reruns_only_what_they_affect(finished_once, name):
    check_plan(finished_once, name)


def test_the_untouched_run_passes_its_audit(finished_once):
    assert finished_once.broken() == set()


def test_harmless_changes_break_no_link_and_rerun_only_what_they_must(finished):
    check_harmless(finished, in_tier(HARMLESS, quick=True))


@pytest.mark.parametrize("name", in_tier(HARMFUL, quick=True))
def test_the_audit_names_tampered_files_and_everything_made_from_them(finished, name):
    check_harmful(finished, name)


@pytest.mark.parametrize("name", forgeries.QUICK)
def test_forged_numbers_are_found_even_if_every_digest_fits(finished, name):
    forgeries.check_forgery(finished, name)


def test_every_perturbation_has_a_tier_and_a_row_in_the_docs():
    assert {*HARMLESS, *HARMFUL} >= QUICK
    rows = re.findall(r"^\| ([^|`]+?) \|", (ROOT / "docs/provenance.md").read_text(), re.MULTILINE)
    named = [*HARMLESS, *HARMFUL]
    assert [row for row in rows if row in named] == named
