"""The runs that are compared, and what is read of each: records, tables of numbers, settings, which images."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segcert.io.arrays import StoredArrays
from segcert.provenance.lineage import Lineage, LineageError
from segcert.provenance.records import RecordError, read_record
from segcert.results.tables import METRICS, ResultsError, main_table, read_results
from segcert.votes import read_header

FEWEST, MOST = 2, 8  # runs side by side: more have no marker of their own
RESAMPLES = 1000
DECIDING = ["tau", "alpha", "n0", "n", "method"]  # of a certificate, by their names in the configuration
NAMES = ["dataset", "model", "regime", "denoiser", "image"]
# Of certificates.parquet; an older run may lack them.
SHOWN = ["radius", "radius_gray_levels", *METRICS, "extended"]


class CompareError(ValueError):
    """Runs that cannot be compared; the message says what is there and what to do."""


@dataclasses.dataclass(frozen=True)
class ComparedRun:
    """A run as the page of a comparison sees it."""

    name: str
    certificates: pd.DataFrame  # certificates.parquet; of SHOWN, columns that the file lacks hold NaN
    columns: list[str]  # of the file
    configuration: Mapping[str, Any]  # from the record of its page; empty where there is none
    images: Mapping[str, Mapping[str, str]]  # SHA-256 of the pixels by data set and image; without votes, no data set
    paged: bool  # its page is there

    @property
    def settings(self) -> dict[str, Any]:
        """What its certificates were decided with: tau, alpha, n0, n, method, k."""
        first = self.certificates.iloc[0]
        return {name: first[name] for name in (*DECIDING, "k")}

    def table(self) -> pd.DataFrame:
        """The main table of its report, with as many bootstrap resamples as on its page."""
        return main_table(self.certificates, self.configuration.get("report", {}).get("bootstrap", RESAMPLES))

    def outdated(self) -> list[str]:
        """Settings of which the page says something else than the certificates: a run that was not finished since."""
        return [name for name in DECIDING if self.configuration and self.configuration.get(name) != self.settings[name]]


def find_run(name: str) -> Lineage:
    """The lineage of a run by its name in this checkout, as `CHECKOUT:run`, or by the path of its results folder.

    Raises LineageError where no such run is.
    """
    if ":" in name:
        root, _, run = name.rpartition(":")
    elif Path(name).parent.name == "results":
        root, run = str(Path(name).parent.parent), Path(name).name
    elif "/" in name:
        raise LineageError(f"{name}: names no run; write a run's name, CHECKOUT:run or CHECKOUT/results/run")
    else:
        root, run = ".", name
    if not Path(root).is_dir():
        raise LineageError(f"{name}: there is no folder {root}; write a run's name, CHECKOUT:run or its results folder")
    return Lineage.read(run, root)


def read_runs(names: Sequence[str], root: str | Path = ".") -> list[ComparedRun]:
    """Read the runs of a checkout by their names.

    Raises CompareError for fewer than two or more than eight names, the same name twice, a run that is not there, or
    has no certificates.
    """
    root = Path(root)
    there = sorted(path.name for path in root.glob("results/[!.]*") if path.is_dir())
    known = f"the runs here: {', '.join(there) or 'none'}"
    if not FEWEST <= len(names) <= MOST:
        example = f"[{there[0]},{there[1]}]" if len(there) > 1 else "[RUN,RUN]"
        raise CompareError(
            f"compare: found {len(names)} runs; expected {FEWEST} to {MOST} ({known}). "
            f"Write: snakemake compare --config 'compare={example}'"
        )
    for name in names:
        if names.count(name) > 1:
            raise CompareError(f"compare: the run {name} stands twice; expected different runs ({known})")
        if name not in there:
            raise CompareError(f"compare: there is no run {name!r} in {root / 'results'}; {known}")
    return [_read_run(root, name) for name in names]


def _read_run(root: Path, name: str) -> ComparedRun:
    path = root / "results" / name / "certificates.parquet"
    certificates = read_numbers(path, [*NAMES, "method"], ["sigma", "tau", "alpha", "n0", "n", "k"], SHOWN)
    if certificates.empty:
        raise CompareError(f"{path}: holds no certificates; run snakemake --force {path}")
    columns = list(certificates.columns)
    certificates = certificates.assign(**{column: np.nan for column in SHOWN if column not in columns})
    page = root / "reports" / name / "index.html"
    try:
        configuration = read_record(page).get("params", {}).get("configuration", {})
    except RecordError as error:
        raise CompareError(str(error)) from error
    images = {}
    for dataset in certificates["dataset"].unique():
        if found := _read_images(root / "results" / name / "votes" / str(dataset)):
            images[dataset] = found
    return ComparedRun(name, certificates, columns, configuration, images, page.exists())


def read_numbers(path: Path, names: Sequence[str], numbers: Sequence[str], optional: Sequence[str]) -> pd.DataFrame:
    """A parquet file of a run, with columns of text, of numbers, and of numbers that an older run may lack.

    Raises CompareError where the file is missing, damaged, or lacks another column.
    """
    if not path.exists():
        raise CompareError(
            f"{path}: is not there, the run {path.parent.name} is not finished. Run: snakemake --config "
            f"run={path.parent.name} (and its other settings); where its pointers are in git: dvc pull"
        )
    try:
        return read_results(path, names, numbers, optional)
    except ResultsError as error:
        raise CompareError(str(error)) from error


def missing_columns(expected: Sequence[str], *tables: Iterable[str]) -> list[list[str]]:
    """The columns that each table lacks, of those that are expected or that another of the tables has."""
    wanted = dict.fromkeys(expected)
    for columns in tables:
        wanted |= dict.fromkeys(columns)
    return [[column for column in wanted if column not in columns] for columns in tables]


def _read_images(folder: Path) -> dict[str, str]:
    """SHA-256 of the pixels of each image whose votes lie in a folder, by name.

    All models and noise levels of a run look at the same images, so the heads of one folder of shards say it all.
    """
    shards = min((path.parent for path in folder.glob("*/*/*/shard_*.npz")), default=None)
    found: dict[str, str] = {}
    for path in sorted(shards.glob("shard_*.npz")) if shards else ():
        try:
            with StoredArrays(path) as arrays:
                images = read_header(arrays)
            found |= {image: about["origin"]["image"] for image, about in images.items()}
        except (OSError, KeyError, ValueError) as error:
            raise CompareError(
                f"{path}: not a whole votes file ({error}); delete it and run snakemake again"
            ) from error
    return found
