"""The comparison of Snakemake's linter with CONTRIBUTING.md in `make lint`."""

from pathlib import Path

from tests.support.pages import text_of
from tests.tools.snakemake_lint import complaints, differences, explained

SAID = """Using workflow specific profile profiles/default for setting default command line arguments.
Lints for snakefile /here/rules/data.smk:
    * Mixed rules and functions in same snakefile.:
      Small one-liner functions used only once should be defined as lambda
    * Path composition with '+' in line 16:
      This becomes quickly unreadable.

Lints for rule push (line 75, /here/rules/storage.smk):
    * No log directive defined:
      Without a log directive, all output will be printed to the terminal.
"""
MIXED = "Mixed rules and functions in same snakefile."
FOUND = {
    (MIXED, "rules/data.smk"),
    ("Path composition with '+' in line 16", "rules/data.smk"),
    ("No log directive defined", "push"),
}


def test_complaints_are_read_with_their_file_or_rule():
    assert complaints(SAID, Path("/here")) == FOUND


def test_unexplained_complaints_and_unused_rows_are_reported():
    table = f"| `{MIXED}` | `rules/*.smk` | why |\n| `No log directive defined` | `push`, `audit` | why |\n"
    unexplained, unfounded = differences(FOUND, explained(table))
    assert unexplained.startswith("rules/data.smk: Path composition with '+' in line 16: fix it")
    assert unfounded.startswith("audit: No log directive defined: snakemake no longer complains")


def test_the_table_in_contributing_is_read():
    known = explained(text_of("CONTRIBUTING.md"))
    assert (MIXED, "rules/*.smk") in known
    assert len(known) > 2
