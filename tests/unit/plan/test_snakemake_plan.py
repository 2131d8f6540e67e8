"""Arguments of a plan that Snakemake would refuse with a traceback, and the reasons why a job would run."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from segcert.plan.jobs import PlannedJob
from segcert.plan.snakemake_plan import PlanError, read_plan
from segcert.plan.status import job_reasons

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--configfile", "config/nope.yaml"], "found 'config/nope.yaml', which is not a file"),
        (["--config", "n=120"], "found n=120; .* Write draws=120"),
        (["--config", "tau=2"], "^the configuration cannot be used:\n  - `tau`: found 2; [^\n]*$"),
    ],
)
def test_mistakes_in_arguments_are_one_message(monkeypatch, arguments, says):
    monkeypatch.chdir(ROOT)
    with pytest.raises(PlanError, match=says):
        read_plan(arguments)


def test_a_job_that_never_ran_has_no_changed_inputs():
    files = {
        "outputs": ["program.pt"],
        "missing": ["program.pt"],
        "inputs": ["vendor.pt"],
        "changed_inputs": ["vendor.pt"],
    }
    flags = dict.fromkeys(("params_changed", "inputs_changed", "incomplete"), False)
    job = PlannedJob("import_program", params={}, stale=True, follows=[], wildcards={}, **files, **flags)
    never_ran, ran = (SimpleNamespace(record=lambda _, record=record: record) for record in ({}, {"inputs": {}}))
    assert list(job_reasons(job, never_ran)) == ["has not run yet"]
    assert list(job_reasons(job, ran)) == ["program.pt is missing", "the content of vendor.pt changed"]
