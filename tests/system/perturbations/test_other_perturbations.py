"""The perturbations that `make test` leaves to this tier; tests/pipeline/perturbations.py has the table."""

import pytest
from tests.pipeline.perturbations import HARMFUL, HARMLESS, check_harmful, check_harmless, in_tier


def test_harmless_changes_break_no_link_and_rerun_only_what_they_must(finished):
    check_harmless(finished, in_tier(HARMLESS, quick=False))


@pytest.mark.parametrize("name", in_tier(HARMFUL, quick=False))
def test_the_audit_names_tampered_files_and_everything_made_from_them(finished, name):
    check_harmful(finished, name)
