"""The command that was typed, to type it again."""

import os
import shlex
import sys
from collections.abc import Container


def command(without: Container[str] = (), first: str | None = None) -> str:
    """Return Snakemake's command as it was typed; without these targets, and with another in front.

    In front, because an option that takes several values would take a target after it for one.
    """
    program, *arguments = sys.argv
    if program.endswith("__main__.py"):
        words = ["python", "-m", "snakemake"]
    else:
        inside = os.path.relpath(program)
        words = [os.path.basename(program) if inside.startswith("..") else inside]
    kept = [argument for argument in arguments if argument not in without]
    return shlex.join([*words, *([first] if first else []), *kept])


def how_to_resume(log: str | None) -> list[str]:
    """The last lines of a run that failed or was broken off; `log` is Snakemake's."""
    said = [f"What Snakemake said: {log}"] if log else []
    return [*said, f"To resume: {command()}"]
