"""The perturbations that `make test` leaves to this tier; the table is tests/pipeline/perturbations.py."""

import pytest
from tests.pipeline.perturbations import HARMFUL, HARMLESS, check_harmful, check_harmless, in_tier


def test_what_is_honest_breaks_no_link_and_runs_what_it_must(finished):
    check_harmless(finished, in_tier(HARMLESS, quick=False))


@pytest.mark.parametrize("name", in_tier(HARMFUL, quick=False))
def test_what_is_tampered_with_is_named_with_all_that_was_made_from_it(finished, name):
    check_harmful(finished, name)
