"""Snakemake's plan as plain values: the jobs that it would run, and why. No other module imports Snakemake."""

import contextlib
import io
import json
import string
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.cli import parse_args, parse_config
from snakemake.io import Mtime
from snakemake.persistence.file import FilePersistence
from snakemake.settings.enums import Quietness
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings

from segcert.console.run_lines import without_frame
from segcert.plan.jobs import JobGraph, PlannedJob
from segcert.provenance.preparation import Preparation
from segcert.report.captions import ADDED

ANY_NUMBER = 1_000_000_000  # number of cores, GPUs or MiB, larger than any rule's request
UNQUOTED = {*string.whitespace, *"'\"`$&;|<>(){}[]*?!#%:\\"}
LIMITED_BY_MACHINE = ("gpu", "mem_mb")


class PlanError(ValueError):
    """Error for a plan that Snakemake cannot make. The message usually comes from Snakemake."""


def read_plan(arguments: Sequence[str]) -> list[PlannedJob]:
    """Return the jobs of a plan, in topological order: each job comes after the jobs whose outputs it reads.

    `arguments` are those of the command `snakemake`. Like this command, the function uses the checkout's profile.
    Raises PlanError if Snakemake cannot make the plan.
    """
    return read_graph(arguments).jobs


def read_graph(arguments: Sequence[str]) -> JobGraph:
    """Return the jobs of a plan, and the configuration. Arguments and errors are those of `read_plan`."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        _, args = parse_args(["--dry-run", *arguments])
        _check_arguments(args)
        with SnakemakeApi(OutputSettings(dryrun=True, quiet={Quietness.ALL})) as api:
            try:
                return _plan(api, args)
            except Exception as error:
                said.truncate(said.seek(0))  # messages before an error do not explain it
                api.print_exception(error)
                text = without_frame(said.getvalue()).strip()
                raise PlanError(text or str(error)) from error


def _check_arguments(args: Namespace) -> None:
    """Raise PlanError for arguments that Snakemake would reject with a traceback."""
    for path in args.configfile or []:
        if not Path(path).is_file():
            raise PlanError(f"--configfile: found {str(path)!r}, which is not a file; expected a configuration file")
    for change in args.config or []:
        if change.startswith("n="):
            raise PlanError(
                f"--config: found {change}; Snakemake does not accept one-letter keys. Write draws{change[1:]}"
            )


def require_plain_paths(*places: Path) -> None:
    """Raise PlanError for a path that contains characters that a job's shell would interpret.

    Snakemake writes paths into command lines without quotes, and colons separate the entries of path lists. The
    Makefile also makes this check.
    """
    for place in places:
        if odd := sorted(UNQUOTED.intersection(str(place))):
            raise PlanError(
                f"{str(place)!r}: found {', '.join(map(repr, odd))} in a path; a job's shell would interpret such "
                "characters. Move the checkout, and the environment with it, to a path that contains only letters, "
                "digits and the characters / . _ - + , @ = ~ ^, then run: make run"
            )


def before_the_plan(workflow: Any, checkout: Preparation, warn: Callable[[str], None]) -> None:
    """Prepare the checkout just before Snakemake plans its jobs. In a dry run, only make it appear prepared.

    Snakemake's planning method is replaced, because Snakemake 9.27 has no hook between reading the rules and planning.
    `warn` is called with a warning for each artifact that changed after its job made it.
    """
    look = workflow._prepare_dag

    def prepared(*arguments: Any, **options: Any) -> None:
        runs = workflow.executor_plugin is not None and not workflow.dryrun
        if runs:
            checkout.write()
        else:
            checkout.look()
        for warning in checkout.changes.warnings():
            warn(warning)
        look(*arguments, **options)
        if not runs:
            _show_prepared(workflow, checkout)

    workflow._prepare_dag = prepared


def _show_prepared(workflow: Any, checkout: Preparation) -> None:
    """Fill Snakemake's caches of times and records with the values that they would have after `Preparation.write`."""
    times = dict.fromkeys(checkout.restored.pointers, time.time()) | checkout.changes.times
    workflow.iocache.mtime.update({path: Mtime(local=seconds) for path, seconds in times.items()})
    stored, metadata = workflow.persistence, checkout.metadata | checkout.restored.metadata
    if not isinstance(stored, FilePersistence):  # a database, which the packed metadata does not cover
        return
    read = stored._io_read

    def read_prepared(folder: str, key: str) -> Any:
        if folder != stored._metadata_path or key not in metadata:
            return read(folder, key)
        with contextlib.suppress(ValueError):
            return json.loads(metadata[key])
        return {}  # as Snakemake does for invalid JSON

    stored._io_read = read_prepared
    stored._filter_incomplete_keys([])  # this call fills the cache of incomplete outputs
    for key, incomplete in checkout.restored.incomplete.items():
        mark = stored._record_path(stored._incomplete_path, key)
        stored._incomplete_cache.discard(mark)
        if incomplete:
            stored._incomplete_cache.add(mark)


def _plan(api: SnakemakeApi, args: Namespace) -> JobGraph:
    resources = {name: each.value for name, each in args.resources.items()}
    resources |= dict.fromkeys(LIMITED_BY_MACHINE, ANY_NUMBER)
    workflow = api.workflow(
        resource_settings=ResourceSettings(cores=ANY_NUMBER, resources=resources),
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
    jobs = [job for level in dag.toposorted() for job in sorted(level, key=_name) if not job.is_norun]
    config = {key: value for key, value in workflow._workflow.globals["config"].items() if key not in ADDED}
    return JobGraph([_planned(dag, job) for job in jobs], config)


def _name(job: Any) -> tuple[str, list[str]]:
    return job.rule.name, list(map(str, job.output))


def _planned(dag: Any, job: Any) -> PlannedJob:
    reason, stale = dag.reason(job), dag.needrun(job)
    return PlannedJob(
        rule=job.rule.name,
        outputs=list(map(str, job.output)),
        inputs=list(map(str, job.input)),
        params=dict(job.params.items()),
        stale=stale,
        missing=sorted(map(str, reason.missing_output)),
        changed_inputs=sorted(map(str, reason.updated_input)),
        params_changed=bool(reason.params_changed),
        inputs_changed=bool(reason.input_changed),
        incomplete=bool(reason.incomplete_output or reason.forced),  # Snakemake marks interrupted jobs as forced
        follows=sorted({other.rule.name for other in dag.dependencies[job] if dag.needrun(other)}),
        wildcards=dict(job.wildcards.items()),
    )
