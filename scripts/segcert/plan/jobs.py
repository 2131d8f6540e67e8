"""The jobs of a run that Snakemake plans, as plain values."""

import dataclasses
from collections.abc import Mapping
from typing import Any


class ForecastError(ValueError):
    """Error for a forecast that cannot be made. The message names the missing file, measurement or option."""


@dataclasses.dataclass(frozen=True)
class PlannedJob:
    """A job in Snakemake's plan of a run.

    Attributes
    ----------
    rule, outputs, inputs, params
        Name of the rule, paths of its outputs and inputs, and a dict that maps the names of parameters to their values.
    stale
        True if the job would run.
    missing, changed_inputs
        Outputs that do not exist, and inputs whose content has changed since the job read them.
    params_changed, inputs_changed
        True if the parameters, or the set of inputs, differ from those in Snakemake's records.
    incomplete
        True if the job was interrupted.
    follows
        Rules of the jobs that would also run and whose outputs this job reads.
    wildcards
        Dict that maps the names of wildcards to their values.
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
    wildcards: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class JobGraph:
    """All jobs of a run, in topological order, and the run's configuration as plain values."""

    jobs: list[PlannedJob]
    config: Mapping[str, Any]
