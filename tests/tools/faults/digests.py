"""What a run made, compared with what the undisturbed run made."""

import re

from segcert.provenance.digests import file_digest

TOPS = ("data", "models", "results", "reports")
# What holds measured times, and copies of Snakemake's and segcert's records, which hold times too
TIMES = (
    "results/tiny/seconds/", "results/.trail/", "reports/tiny/index.html", "reports/tiny.dvc",
    "reports/tiny/tables/stages.csv", "reports/tiny/figures/stages.",
)  # fmt: skip
POINTERS = ("data.dvc", "models.dvc")
LEFT = re.compile(r"(^|/)\.[^/]*\.part(\.[^/]*)?(/|$)")  # what a killed writer left: segcert.io.atomic


def digests(run):
    """SHA-256 of everything that is there under its name, but run records and what holds measured times."""
    names = [
        path.relative_to(run.path).as_posix()
        for top in TOPS
        for path in (run.path / top).rglob("*")
        if path.is_file() and not path.name.endswith(".record.json")
    ]
    return {
        name: file_digest(run.path / name) for name in names if not name.startswith(TIMES) and not LEFT.search(name)
    }


def left_behind(run):
    """Temporary files that nobody writes any more."""
    names = (
        path.relative_to(run.path).as_posix() for top in (*TOPS, ".segcert") for path in (run.path / top).rglob("*")
    )
    return [name for name in names if LEFT.search(name)]


def half_written(run, whole):
    """What stands under its name and is not what the undisturbed run made."""
    return sorted(name for name, digest in digests(run).items() if whole.get(name) != digest)


def differences(run, plain):
    """All that is wrong with a finished run: other or missing files, broken links, work that is still to be done."""
    whole, found = digests(plain), digests(run)
    wrong = [f"differs: {name}" for name in sorted(whole.keys() | found.keys()) if whole.get(name) != found.get(name)]
    for pointer in POINTERS:
        if file_digest(run.path / pointer) != file_digest(plain.path / pointer):
            wrong.append(f"differs: {pointer}")
    wrong += [f"broken: {path}" for path in run.broken()]
    stale = run.stale(configfile=run.configfile)
    wrong += [f"still to be done: {stale}"] if stale else []
    return wrong
