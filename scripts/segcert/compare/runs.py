"""Read the runs to compare: run records, tables, settings and image digests."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segcert.certification.methods import parse_looks
from segcert.io.arrays import StoredArrays
from segcert.provenance.ledger import notice
from segcert.provenance.lineage import Lineage, LineageError
from segcert.provenance.records import RecordError, read_record
from segcert.results.tables import METRICS, ResultsError, main_table, read_results
from segcert.votes import read_header

FEWEST, MOST = 2, 8  # least and greatest number of runs on a page; there are eight markers
# Settings that decide certificates, as named in the configuration
DECIDING = ["tau", "alpha", "n0", "n", "looks", "method"]
NAMES = ["dataset", "model", "regime", "denoiser", "group", "image"]
# Columns of certificates.parquet that an older run may lack
SHOWN = ["radius", "radius_gray_levels", *METRICS]


class CompareError(ValueError):
    """Error for runs that cannot be compared. The message says what was found and what to do."""


@dataclasses.dataclass(frozen=True)
class ComparedRun:
    """A run that a comparison page shows."""

    name: str
    certificates: pd.DataFrame  # from certificates.parquet; columns in SHOWN that the file lacks contain NaN
    columns: list[str]  # columns that certificates.parquet contains
    configuration: Mapping[str, Any]  # from the run record of the page; empty if there is no record
    images: Mapping[str, Mapping[str, str]]  # maps data sets with votes to the SHA-256 of each image's pixels
    paged: bool  # True if the run's page exists
    decisions: tuple[str, str] | None = None  # notice about decisions that are not the first (provenance.ledger)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the certificates: `tau`, `alpha`, `n0`, `n` (at the last look), `looks`, `method` and `k`."""
        first = self.certificates.iloc[0]
        looks = list(parse_looks(first["looks"]))
        return {name: first[name] for name in (*DECIDING, "k")} | {"looks": looks, "n": max([first["n"], *looks])}

    def table(self) -> pd.DataFrame:
        """Return the main table of the run's report."""
        return main_table(self.certificates)

    def outdated(self) -> list[str]:
        """Return the settings that differ between the page and the certificates.

        They differ if settings were changed and the run was not finished afterwards.
        """
        stated = {"looks": [], **self.configuration}  # earlier versions knew no looks
        return [name for name in DECIDING if self.configuration and stated.get(name) != self.settings[name]]


def find_run(name: str) -> Lineage:
    """Return the lineage of a run, given as its name, as `CHECKOUT:run`, or as the path of its results folder.

    Raises LineageError if the run does not exist.
    """
    if ":" in name:
        root, _, run = name.rpartition(":")
    elif Path(name).parent.name == "results":
        root, run = str(Path(name).parent.parent), Path(name).name
    elif "/" in name:
        raise LineageError(f"{name} is not a run. Specify a run as RUN, CHECKOUT:RUN or CHECKOUT/results/RUN")
    else:
        root, run = ".", name
    if not Path(root).is_dir():
        raise LineageError(
            f"{name}: the folder {root} does not exist. Specify a run as RUN, CHECKOUT:RUN or CHECKOUT/results/RUN"
        )
    return Lineage.read(run, root)


def read_runs(names: Sequence[str], root: str | Path = ".") -> list[ComparedRun]:
    """Read runs of a checkout by name.

    Raises CompareError for fewer than two or more than eight names, for a repeated name, and for a run that does not
    exist or has no certificates.
    """
    root = Path(root)
    there = sorted(path.name for path in root.glob("results/[!.]*") if path.is_dir())
    runs_here = f"runs in this checkout: {', '.join(there) or 'none'}"
    if not FEWEST <= len(names) <= MOST:
        example = f"[{there[0]},{there[1]}]" if len(there) > 1 else "[RUN,RUN]"
        raise CompareError(
            f"compare: found {len(names)} runs; expected {FEWEST} to {MOST} ({runs_here}). "
            f"Run: snakemake compare --config 'compare={example}'"
        )
    for name in names:
        if names.count(name) > 1:
            raise CompareError(f"compare: the run {name} is listed twice; expected different runs ({runs_here})")
        if name not in there:
            raise CompareError(f"compare: there is no run {name!r} in {root / 'results'}; {runs_here}")
    return [_read_run(root, name) for name in names]


def _read_run(root: Path, name: str) -> ComparedRun:
    path = root / "results" / name / "certificates.parquet"
    certificates = read_numbers(path, [*NAMES, "method"], ["sigma", "tau", "alpha", "n0", "n", "k"], SHOWN)
    if certificates.empty:
        raise CompareError(f"{path}: contains no certificates. Run `snakemake --force {path}`")
    columns = list(certificates.columns)
    missing = dict.fromkeys(SHOWN, np.nan) | {"looks": ""}
    certificates = certificates.assign(**{name: each for name, each in missing.items() if name not in columns})
    page = root / "reports" / name / "index.html"
    try:
        configuration = read_record(page).get("params", {}).get("configuration", {})
        decisions = notice(read_record(path))
    except RecordError as error:
        raise CompareError(str(error)) from error
    images = {}
    for dataset in certificates["dataset"].unique():
        if found := _read_images(root / "results" / name / "votes" / str(dataset)):
            images[dataset] = found
    return ComparedRun(name, certificates, columns, configuration, images, page.exists(), decisions)


def read_numbers(path: Path, names: Sequence[str], numbers: Sequence[str], optional: Sequence[str]) -> pd.DataFrame:
    """Read a parquet file of a run.

    `names` are text columns, `numbers` are numeric columns, and `optional` are numeric columns that an older run may
    lack. Raises CompareError if the file is missing or damaged, or lacks a column that is not optional.
    """
    if not path.exists():
        raise CompareError(
            f"{path}: not found, so the run {path.parent.name} is not finished. Run `snakemake --config "
            f"run={path.parent.name}` with the run's other settings. If the DVC pointers of the run are in Git, run "
            "`dvc pull` instead"
        )
    try:
        return read_results(path, names, numbers, optional)
    except ResultsError as error:
        raise CompareError(str(error)) from error


def missing_columns(expected: Sequence[str], *tables: Iterable[str]) -> list[list[str]]:
    """Return, for each table, the columns that it lacks but that are expected or contained in another table."""
    wanted = dict.fromkeys(expected)
    for columns in tables:
        wanted |= dict.fromkeys(columns)
    return [[column for column in wanted if column not in columns] for columns in tables]


def _read_images(folder: Path) -> dict[str, str]:
    """Return a dict that maps image names to the SHA-256 of the pixels, from the votes files below a folder."""
    # All models and noise levels of a run use the same images, so it is enough to read the headers in one shard folder.
    shards = min((path.parent for path in folder.glob("*/*/*/shard_*.npz")), default=None)
    found: dict[str, str] = {}
    for path in sorted(shards.glob("shard_*.npz")) if shards else ():
        try:
            with StoredArrays(path) as arrays:
                images = read_header(arrays)
            found |= {image: about["origin"]["image"] for image, about in images.items()}
        except (OSError, KeyError, ValueError) as error:
            raise CompareError(
                f"{path}: this is not a complete votes file ({error}). Delete it and run snakemake again"
            ) from error
    return found
