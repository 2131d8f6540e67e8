"""What a comparison reads of each run: certificates, the settings on its page, and which images they speak of."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from segcert.compare.numbers import RESAMPLES
from segcert.io.arrays import StoredArrays
from segcert.provenance.records import RecordError, read_record
from segcert.results.tables import METRICS, MODEL, SETTINGS, ResultsError, main_table, read_results
from segcert.votes import read_header

FEWEST, MOST = 2, 8  # runs side by side: more have no marker of their own
TEXT = ("dataset", "model", "regime", "denoiser", "method", "image")
NUMBERS = [name for name in (*MODEL, *SETTINGS, *METRICS, "extended") if name not in TEXT]
DECIDING = ("tau", "alpha", "n0", "n", "method")  # of a certificate, by their names in the configuration


class CompareError(ValueError):
    """Runs that cannot be compared; the message says what is there and what to do."""


@dataclasses.dataclass(frozen=True)
class ComparedRun:
    """A run as a comparison sees it.

    Attributes
    ----------
    name
        Of the run.
    certificates
        Its certificates.parquet.
    configuration
        The settings that the record of its page holds; empty where there is no such record.
    images
        SHA-256 of the pixels by image, of each data set, from the heads of its votes; a data set without votes here
        is missing.
    paged
        Whether its page is there.
    """

    name: str
    certificates: pd.DataFrame
    configuration: Mapping[str, Any]
    images: Mapping[str, Mapping[str, str]]
    paged: bool

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
    return [_read(root, name) for name in names]


def _read(root: Path, name: str) -> ComparedRun:
    path = root / "results" / name / "certificates.parquet"
    if not path.exists():
        raise CompareError(
            f"{path}: is not there, the run {name} is not finished. Run: snakemake --config run={name} (and its other "
            "settings); where its pointers are in git: dvc pull"
        )
    try:
        certificates = read_results(path, TEXT, NUMBERS)
    except ResultsError as error:
        raise CompareError(str(error)) from error
    if certificates.empty:
        raise CompareError(f"{path}: holds no certificates; run snakemake --force {path}")
    page = root / "reports" / name / "index.html"
    try:
        configuration = read_record(page).get("params", {}).get("configuration", {})
    except RecordError as error:
        raise CompareError(str(error)) from error
    images = {
        dataset: _images(root / "results" / name / "votes" / str(dataset))
        for dataset in certificates["dataset"].unique()
    }
    return ComparedRun(
        name, certificates, configuration, {key: each for key, each in images.items() if each}, page.exists()
    )


def _images(folder: Path) -> dict[str, str]:
    """SHA-256 of the pixels of each image whose votes lie in a folder, by name.

    All models and noise levels of a run look at the same images, so the heads of one folder of shards say it all.
    """
    shards = next(iter(sorted({path.parent for path in folder.glob("*/*/*/shard_*.npz")})), None)
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
