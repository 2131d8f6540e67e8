"""The jobs of a run, as Snakemake plans them: plain values."""

import dataclasses
from collections.abc import Mapping
from typing import Any


class ForecastError(ValueError):
    """A forecast that cannot be made; the message says what is missing."""


@dataclasses.dataclass(frozen=True)
class PlannedJob:
    """A job of a plan.

    Attributes
    ----------
    rule, outputs, inputs, params
        Its rule, files and parameters; `params` by name.
    stale
        True if it would run.
    missing, changed_inputs
        Outputs that do not exist, and inputs whose content differs from what the job read.
    params_changed, inputs_changed
        True if Snakemake's records hold other parameters, or another set of inputs.
    incomplete
        True if it was interrupted.
    follows
        Rules of the jobs that would run and whose outputs it reads.
    wildcards
        Their values by name.
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
    """All jobs of a run, each after the jobs that it reads from, and its configuration as plain values."""

    jobs: list[PlannedJob]
    config: Mapping[str, Any]
