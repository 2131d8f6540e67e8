"""The Snakemake command that started this run, for a user to repeat."""

import os
import shlex
import sys
from collections.abc import Container


def command(without: Container[str] = (), first: str | None = None) -> str:
    """Return the Snakemake command as typed, but without the arguments in `without` and with `first` as its target.

    The target precedes all options, because an option that takes several values would treat a following target as one
    of its values.
    """
    program, *arguments = sys.argv
    if program.endswith("__main__.py"):
        typed = ["python", "-m", "snakemake"]
    else:
        inside = os.path.relpath(program)
        typed = [os.path.basename(program) if inside.startswith("..") else inside]
    if first:
        typed.append(first)
    return shlex.join([*typed, *(argument for argument in arguments if argument not in without)])


def how_to_resume(log: str | None) -> list[str]:
    """Return the lines to print after a run failed or was interrupted; `log` is the path of Snakemake's log."""
    lines = [f"Snakemake's log: {log}"] if log else []
    return [*lines, f"To resume: {command()}"]
