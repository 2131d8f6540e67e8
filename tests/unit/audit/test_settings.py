"""Settings of jobs that differ from those on the page are found."""

from types import SimpleNamespace

import pytest

from segcert.audit.checks.settings import check_settings

DECISION = {"tau": 0.75, "alpha": 0.001, "method": "segcertify"}
DRAWS = {"n0": 10, "n": 110, "seed": 0, "noise": "normal", "pool": 1}
LOOKS = {"ns": [60, 110], "stop_at_abstention": 0.1, "k": 1, **DECISION}
PAGE = {**DECISION, **DRAWS, "kfwer_k": 1, "looks": [60, 110], "stop_at_abstention": 0.1}
OLD = {name: value for name, value in PAGE.items() if name not in ("looks", "stop_at_abstention")}


def found(decision, looks, page):
    """Return the settings that are found to differ, in a run with these parameters of its jobs."""
    params = {
        "certify": {"settings": {**DECISION, "k": 1, **decision}, "seed": 0},
        "sample": {**DRAWS, **looks},
        "page": {"configuration": page, "seed": 0},
    }
    jobs = [
        SimpleNamespace(rule=rule, name=rule, output=rule, record={"params": each, "seed": 0})
        for rule, each in params.items()
    ]
    lineage = SimpleNamespace(run="tiny", jobs=jobs, makers={"reports/tiny/index.html": jobs[-1]})
    return [
        finding.message for finding in check_settings(SimpleNamespace(lineage=lineage)) if finding and finding.broken
    ]


@pytest.mark.parametrize(
    ("decision", "looks", "page"),
    [
        ({"looks": [60, 110]}, {"looks": LOOKS}, PAGE),
        ({}, {"looks": {}}, PAGE | {"looks": []}),
        ({}, {}, OLD),
    ],
)
def test_the_settings_on_the_page_are_accepted(decision, looks, page):
    assert found(decision, looks, page) == []


@pytest.mark.parametrize(
    ("decision", "looks", "page", "message"),
    [
        ({}, {"looks": LOOKS}, PAGE, "`certify` ran with looks [], but the page says [60, 110]"),
        ({"looks": [60, 110]}, {}, PAGE, "`sample` ran with looks [], but the page says [60, 110]"),
        ({}, {"looks": LOOKS}, PAGE | {"looks": []}, "`sample` ran with looks [60, 110], but the page says []"),
        (
            {"looks": [60, 110]},
            {"looks": LOOKS | {"stop_at_abstention": 0.2}},
            PAGE,
            "`sample` ran with stop_at_abstention 0.2, but the page says 0.1",
        ),
    ],
)
def test_looks_that_only_some_jobs_had_are_found(decision, looks, page, message):
    """Votes of planned looks that are decided at the whole alpha would have an error rate above alpha."""
    assert found(decision, looks, page) == [message]
