"""Reasons why a job would run."""

from types import SimpleNamespace

from segcert.plan.jobs import PlannedJob
from segcert.plan.status import job_reasons


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
