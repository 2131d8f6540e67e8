"""The Snakemake command of this run, to type it again."""

import os
import shlex
import sys
from collections.abc import Container


def command(without: Container[str] = (), first: str | None = None) -> str:
    """Return Snakemake's command as it was typed, without the targets `without` and with the target `first` in front.

    It comes first because an option with several values would read a target after it as one of them.
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
    """Return the last lines of a run that failed or was interrupted; `log` is Snakemake's."""
    lines = [f"Snakemake's log: {log}"] if log else []
    return [*lines, f"To resume: {command()}"]
