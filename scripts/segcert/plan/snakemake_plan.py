"""What Snakemake would do, and why: its plan as plain values. The only module that imports Snakemake."""

import contextlib
import io
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.cli import parse_args, parse_config
from snakemake.common.configfile import load_configfile
from snakemake.settings.enums import Quietness
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings

from segcert.plan.jobs import JobGraph, Planned

ANY_NUMBER = 1_000_000_000  # of cores, GPUs, MiB: a job gets what its rule asks for
OF_A_MACHINE = ("gpu", "mem_mb")


class PlanError(ValueError):
    """A plan that Snakemake cannot make; the message holds its words."""


def read_plan(arguments: Sequence[str]) -> list[Planned]:
    """The jobs of a plan in the order of the work, from arguments of the `snakemake` command. Raises PlanError.

    The profile of the checkout is read as the command reads it.
    """
    return _graph(arguments, gpus_elsewhere=False).jobs


def read_graph(arguments: Sequence[str]) -> JobGraph:
    """The plan for a machine with any number of GPUs, whatever this one has, unless the configuration says cpu.

    Raises PlanError.
    """
    return _graph(arguments, gpus_elsewhere=True)


def _graph(arguments: Sequence[str], *, gpus_elsewhere: bool) -> JobGraph:
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        _, args = parse_args(["--dry-run", *arguments])
        with SnakemakeApi(OutputSettings(dryrun=True, quiet={Quietness.ALL})) as api:
            try:
                return _plan(api, args, gpus_elsewhere)
            except Exception as error:
                api.print_exception(error)
                raise PlanError(f"snakemake cannot make a plan:\n{said.getvalue().strip()}") from error


def _plan(api: SnakemakeApi, args: Namespace, gpus_elsewhere: bool) -> JobGraph:
    config, resources = parse_config(args.config), {name: each.value for name, each in args.resources.items()}
    if gpus_elsewhere:
        resources |= dict.fromkeys(OF_A_MACHINE, ANY_NUMBER)
        if _device(args, config) != "cpu":
            config["device"] = "cuda"
    workflow = api.workflow(
        resource_settings=ResourceSettings(cores=ANY_NUMBER, resources=resources),
        config_settings=ConfigSettings(config=config, configfiles=args.configfile),
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
    jobs = [job for level in dag.toposorted() for job in sorted(level, key=_name) if not job.is_norun]
    return JobGraph([_planned(dag, job) for job in jobs], dict(workflow._workflow.globals["config"]))


def _name(job: Any) -> tuple[str, list[str]]:
    return job.rule.name, list(map(str, job.output))


def _device(args: Namespace, config: Mapping[str, Any]) -> Any:
    """The device that command line or configuration files ask for."""
    files = [load_configfile(path).get("device") for path in args.configfile or []]
    return config.get("device") or next(filter(None, reversed(files)), None)


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
        wildcards=dict(job.wildcards.items()),
    )
