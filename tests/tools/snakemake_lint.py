"""Compare the complaints of `snakemake --lint` with the table in CONTRIBUTING.md that explains them.

Each complaint must be in the table, and each row of the table must match a complaint. `make lint` runs this module:
python -m tests.tools.snakemake_lint
"""

import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "CONTRIBUTING.md"
OF = re.compile(r"Lints for (?:snakefile (?P<file>.+)|rule (?P<rule>\w+) \(.*\)):")
TITLE = re.compile(r"    \* (.+):")
ROW = re.compile(r"^\| `(?P<title>[^`]+)` \| (?P<places>`[^|]+`) \|", re.MULTILINE)


def complaints(output: str, root: Path = ROOT) -> set[tuple[str, str]]:
    """Return the title and place of each complaint of `snakemake --lint`. A place is a rule or a file in `root`."""
    found, place = set(), ""
    for line in output.splitlines():
        if of := OF.fullmatch(line):
            place = of["rule"] or Path(of["file"]).relative_to(root).as_posix()
        elif title := TITLE.fullmatch(line):
            found.add((title[1], place))
    return found


def explained(page: str) -> set[tuple[str, str]]:
    """Return the title and place of each complaint that the table explains. It may be a pattern (`rules/*.smk`)."""
    return {(row["title"], place) for row in ROW.finditer(page) for place in re.findall(r"`([^`]+)`", row["places"])}


def differences(found: set[tuple[str, str]], known: set[tuple[str, str]]) -> list[str]:
    """Return a message for each complaint without an explanation and for each explanation without a complaint."""
    said = []
    for title, place in sorted(found):
        if not any(title == other and fnmatchcase(place, pattern) for other, pattern in known):
            said.append(f"{place}: {title}: fix it, or explain it in the table in {TABLE.name}")
    for title, pattern in sorted(known):
        if not any(title == other and fnmatchcase(place, pattern) for other, place in found):
            said.append(f"{pattern}: {title}: snakemake no longer complains; delete the row from {TABLE.name}")
    return said


def main() -> None:
    """Run Snakemake's linter on the default configuration; exit with a message if the table does not match it."""
    command = [sys.executable, "-m", "snakemake", "--lint", "--workflow-profile", "none"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    found = complaints(output)
    # The linter exits with 1 if there are complaints, but also if it cannot read the workflow.
    if done.returncode and not found:
        raise SystemExit(f"snakemake --lint failed:\n{output}")
    if wrong := differences(found, explained(TABLE.read_text())):
        raise SystemExit("\n".join(wrong))
    print(f"snakemake --lint: {len(found)} complaints, each explained in {TABLE.name}")


if __name__ == "__main__":
    main()
