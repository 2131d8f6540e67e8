"""What Snakemake would do, and why: its plan as plain values. The only module that imports Snakemake."""

import contextlib
import dataclasses
import io
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.cli import parse_args, parse_config
from snakemake.settings.enums import Quietness
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings


class PlanError(ValueError):
    """A plan that Snakemake cannot make; the message holds its words."""


@dataclasses.dataclass(frozen=True)
class Planned:
    """A job of a plan.

    Attributes
    ----------
    rule, outputs, inputs, params
        What it is; `params` by name.
    stale
        Whether it would run.
    missing, changed_inputs
        Outputs that are not there, and inputs whose content is another than it read.
    params_changed, inputs_changed
        Whether Snakemake's records hold other parameters, or another set of inputs.
    incomplete
        Whether it was interrupted.
    follows
        The rules of the jobs that would run and whose files it reads.
    """

    rule: str
    outputs: list[str]
    inputs: list[str]
    params: dict[str, Any]
    stale: bool
    missing: list[str]
    changed_inputs: list[str]
    params_changed: bool
    inputs_changed: bool
    incomplete: bool
    follows: list[str]


def read_plan(arguments: Sequence[str]) -> list[Planned]:
    """The jobs of a plan in the order of the work, from arguments of the `snakemake` command. Raises PlanError.

    The profile of the checkout is read as the command reads it.
    """
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        _, args = parse_args(["--dry-run", *arguments])
        with SnakemakeApi(OutputSettings(dryrun=True, quiet={Quietness.ALL})) as api:
            try:
                return _plan(api, args)
            except Exception as error:
                api.print_exception(error)
                raise PlanError(f"snakemake cannot make a plan:\n{said.getvalue().strip()}") from error


def _plan(api: SnakemakeApi, args: Namespace) -> list[Planned]:
    workflow = api.workflow(
        resource_settings=ResourceSettings(cores=1, resources=args.resources),
        config_settings=ConfigSettings(config=parse_config(args.config), configfiles=args.configfile),
        snakefile=args.snakefile,
    )
    plan = workflow.dag(
        DAGSettings(
            targets=args.targets,
            force_incomplete=args.rerun_incomplete,
            rerun_triggers=args.rerun_triggers,
            max_checksum_file_size=args.max_checksum_file_size,
        )
    )
    plan.execute_workflow(pseudo_executor="dryrun")
    dag = workflow._workflow.dag
    return [_planned(dag, job) for level in dag.toposorted() for job in level if not job.is_norun]


def _planned(dag: Any, job: Any) -> Planned:
    reason, stale = dag.reason(job), dag.needrun(job)
    return Planned(
        rule=job.rule.name,
        outputs=list(map(str, job.output)),
        inputs=list(map(str, job.input)),
        params=dict(job.params.items()),
        stale=stale,
        missing=sorted(map(str, reason.missing_output)),
        changed_inputs=sorted(map(str, reason.updated_input)),
        params_changed=bool(reason.params_changed),
        inputs_changed=bool(reason.input_changed),
        incomplete=bool(reason.incomplete_output or reason.forced),  # so it forces what was interrupted
        follows=sorted({other.rule.name for other in dag.dependencies[job] if dag.needrun(other)}),
    )
