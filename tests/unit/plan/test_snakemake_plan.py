"""Arguments of a plan that Snakemake would refuse with a traceback."""

from pathlib import Path

import pytest

from segcert.plan.snakemake_plan import PlanError, read_plan

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
