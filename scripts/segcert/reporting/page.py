"""The page: one HTML file that opens offline."""

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from segcert.certification.certificate import GUARANTEES, WEAKER
from segcert.provenance.digests import file_digest
from segcert.provenance.git import git_state
from segcert.reporting.data_summary import DataSummary
from segcert.reporting.html import data_uri, inline_svg, render
from segcert.reporting.style import TRAINED


def render_page(
    output: str | Path,
    *,
    run: str,
    table: pd.DataFrame,
    classes: pd.DataFrame,
    datasets: Sequence[DataSummary],
    manifests: Mapping[str, Mapping[str, Any]],
    measurements: pd.DataFrame,
    attacks: pd.DataFrame,
    pairings: pd.DataFrame,
    denoisers: pd.DataFrame,
    costs: pd.DataFrame,
    configuration: Mapping[str, Any],
    curves: Sequence[str | Path],
    galleries: Mapping[str, str],
    digests: Mapping[str, str],
    records: Sequence[Mapping[str, Any]],
) -> None:
    """Render the report of a run to one HTML file.

    table, classes, measurements, attacks, pairings, denoisers, costs: the tables (segcert.reporting.tables and .costs).
    manifests: of the raw files, by data set, where there are any. curves: SVG files; certified_dice, budget and costs,
    and where there is something to show denoisers and training. galleries: caption by PNG file. digests: SHA-256 by
    file. records: run records, for times and versions.
    """
    render(
        output,
        "page.html.j2",
        run=run,
        rows=_rows(table),
        class_rows=_rows(classes),
        datasets=datasets,
        manifests=manifests,
        trained=TRAINED,
        settings=table.iloc[0].to_dict(),
        configuration=json.dumps(configuration, indent=2),
        measurement_rows=_rows(measurements),
        attack_rows=_rows(attacks),
        pairing_rows=_rows(pairings),
        denoiser_rows=_rows(denoisers),
        cost_rows=_rows(costs),
        extended=bool(table["extended"].any()),
        weaker=table.iloc[0]["method"] in WEAKER,
        guarantee=GUARANTEES[table.iloc[0]["method"]],
        curves={Path(curve).stem: Markup(inline_svg(Path(curve), number)) for number, curve in enumerate(curves)},
        galleries=[(data_uri(Path(path)), caption) for path, caption in galleries.items()],
        digests=digests,
        stages=stage_times(records),
        versions=_versions(records),
        devices=sorted({record["device"] for record in records if "device" in record}),
        git=git_state(),
        sigma_max=configuration["segmenter"]["sigma_max"],
    )


def stage_times(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Jobs, seconds in all, longest job and peak memory of each rule, longest first."""
    if not records:
        return []
    frame = pd.DataFrame([{key: record[key] for key in ("rule", "seconds", "peak_memory_mib")} for record in records])
    grouped = frame.groupby("rule").agg(
        jobs=("seconds", "size"),
        seconds=("seconds", "sum"),
        longest=("seconds", "max"),
        peak_memory_mib=("peak_memory_mib", "max"),
    )
    return _rows(grouped.sort_values("seconds", ascending=False).reset_index())


def artifact_digests(paths: Sequence[str | Path]) -> dict[str, str]:
    """SHA-256 of some files, by path."""
    return {str(path): file_digest(path) for path in paths}


def _versions(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    shown = ("torch", "diffusers", "monai", "numpy", "scipy", "pandas")
    found = {name: version for record in records for name, version in record["packages"].items()}
    return {"python": platform.python_version()} | {name: found[name] for name in shown if name in found}


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
