"""Several finished runs of a checkout side by side: one page that opens offline, and its table."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from segcert.compare.runs import ComparedRun, read_runs
from segcert.compare.settings import differing_settings, notices, promise
from segcert.compare.table import MISSING, NO_REFERENCE, NOT_PAIRED, REFERENCE, compare_figure, compare_table
from segcert.io.atomic import atomic_file
from segcert.report.data_summary import DataSummary, read_summary
from segcert.report.html import render
from segcert.report.style import inline_figure
from segcert.results.labels import TRAINED
from segcert.results.tables import MODEL

LONGEST = 200  # characters of a folder's name; file systems end at 255


def write_comparison(names: Sequence[str], root: str | Path = ".") -> Path:
    """Write reports/<names joined by +>/index.html and tables/compare.csv; return where the page stands.

    What is there is compared, and nothing is made again. No run has such a folder, as no name of a run holds a `+`.
    Raises CompareError (segcert.compare.runs).
    """
    runs = read_runs(names, root)
    table = compare_table(runs)
    folder = Path(root, "reports", folder_name(names))
    with atomic_file(folder / "tables" / "compare.csv") as path:
        table.to_csv(path, index=False)
    page = folder / "index.html"
    render(
        page,
        "compare.html.j2",
        runs=[_about(run) for run in runs],
        notices=notices(runs),
        datasets=_summaries(runs, Path(root)),
        settings=differing_settings(runs),
        blocks=_blocks(table),
        figure=inline_figure(compare_figure(table)),
        trained=TRAINED,
        missing=MISSING,
        without_difference=(REFERENCE, NO_REFERENCE, *NOT_PAIRED),
    )
    return page


def folder_name(names: Sequence[str]) -> str:
    """The names joined by +; the first of many long ones, the number of the others and a digest of all."""
    joined = "+".join(names)
    if len(joined) <= LONGEST:
        return joined
    return f"{names[0]}+{len(names) - 1}+{hashlib.sha256(joined.encode()).hexdigest()[:16]}"


def _about(run: ComparedRun) -> dict[str, Any]:
    images = run.certificates.groupby("dataset", sort=False)["image"].nunique()
    return run.settings | {
        "name": run.name,
        "promise": promise(run),
        "paged": run.paged,
        "images": ", ".join(f"{count} of {dataset}" for dataset, count in images.items()),
    }


def _summaries(runs: Sequence[ComparedRun], root: Path) -> list[DataSummary]:
    """What is known of the data sets, each once."""
    found = {
        dataset: root / "reports" / run.name / "tables" / f"data_{dataset}.json"
        for run in reversed(runs)
        for dataset in run.certificates["dataset"].unique()
    }
    return [read_summary(path) for path in found.values() if path.exists()]


def _blocks(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of the table by data set, model, regime, denoiser and sigma, each with its number in the file."""
    numbered = table.assign(number=range(len(table)))
    return [
        dict(zip(MODEL, key, strict=True)) | {"rows": group.to_dict("records")}
        for key, group in numbered.groupby(MODEL, sort=False)
    ]
