"""The page: one HTML file that opens offline."""

import base64
import json
import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from segcert.provenance.atomic import atomic_file
from segcert.provenance.digests import file_digest
from segcert.provenance.records import git_state
from segcert.reporting.style import TRAINED

TEMPLATES = Path(__file__).parent / "templates"


def render_page(
    output: str | Path,
    *,
    run: str,
    table: pd.DataFrame,
    classes: pd.DataFrame,
    datasets: Sequence[Mapping[str, Any]],
    configuration: Mapping[str, Any],
    curve: str | Path,
    galleries: Mapping[str, str],
    digests: Mapping[str, str],
    records: Sequence[Mapping[str, Any]],
) -> None:
    """Render the report of a run to one HTML file.

    table, classes: the main table and the table by class. datasets: what their dataset.json say. curve: an SVG
    file. galleries: caption by PNG file. digests: SHA-256 by file. records: run records, for times and versions.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"number": _number, "trained": lambda row: TRAINED[row["regime"]]}
    text = environment.get_template("page.html.j2").render(
        run=run,
        rows=_rows(table),
        class_rows=_rows(classes),
        datasets=datasets,
        settings=table.iloc[0].to_dict(),
        configuration=json.dumps(configuration, indent=2),
        curve=Markup(_inline_svg(Path(curve))),
        galleries=[(_data_uri(Path(path)), caption) for path, caption in galleries.items()],
        digests=digests,
        stages=stage_times(records),
        versions=_versions(records),
        devices=sorted({record["device"] for record in records if "device" in record}),
        git=git_state(),
        sigma_max=configuration["segmenter"]["sigma_max"],
    )
    with atomic_file(output) as path:
        path.write_text(text, encoding="utf-8")


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


def _number(value: float, digits: int = 3) -> str:
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"


def _inline_svg(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return text[text.index("<svg") :]


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
