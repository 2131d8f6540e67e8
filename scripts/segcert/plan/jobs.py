"""The jobs of a run, as Snakemake plans them: plain values."""

import dataclasses
from collections.abc import Mapping
from typing import Any


class ForecastError(ValueError):
    """A forecast that cannot be made; the message says what is missing."""


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
    """All jobs of a run in the order of the work, and its configuration as plain values."""

    jobs: list[Planned]
    config: Mapping[str, Any]
