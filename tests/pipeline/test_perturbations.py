"""One perturbation of each kind and two forgeries; the others: tests/system/perturbations, tests/system/audit."""

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
def test_a_plan_with_other_keys_runs_what_they_decide(finished_once, name):
    check_plan(finished_once, name)


def test_the_untouched_run_passes_its_audit(finished_once):
    assert finished_once.broken() == set()


def test_what_is_honest_breaks_no_link_and_runs_what_it_must(finished):
    check_harmless(finished, in_tier(HARMLESS, quick=True))


@pytest.mark.parametrize("name", in_tier(HARMFUL, quick=True))
def test_what_is_tampered_with_is_named_with_all_that_was_made_from_it(finished, name):
    check_harmful(finished, name)


@pytest.mark.parametrize("name", forgeries.QUICK)
def test_a_number_that_does_not_follow_is_found_though_every_digest_was_made_to_fit(finished, name):
    forgeries.check_forgery(finished, name)


def test_every_row_is_in_a_tier_and_in_the_documentation():
    assert {*HARMLESS, *HARMFUL} >= QUICK
    rows = re.findall(r"^\| ([^|`]+?) \|", (ROOT / "docs/provenance.md").read_text(), re.MULTILINE)
    named = [*HARMLESS, *HARMFUL]
    assert [row for row in rows if row in named] == named
