"""The page: one HTML file that opens offline."""

import base64
import json
import math
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from segcert.certification.certificate import GUARANTEES, WEAKER
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
    measurements: pd.DataFrame,
    attacks: pd.DataFrame,
    configuration: Mapping[str, Any],
    curves: Sequence[str | Path],
    galleries: Mapping[str, str],
    digests: Mapping[str, str],
    records: Sequence[Mapping[str, Any]],
) -> None:
    """Render the report of a run to one HTML file.

    table, classes, measurements, attacks: the tables (segcert.reporting.tables). datasets: what their dataset.json
    say. curves: SVG files, certified Dice against sigma and against draws. galleries: caption by PNG file. digests:
    SHA-256 by file. records: run records, for times and versions.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"number": _number, "digits": _digits, "trained": lambda row: TRAINED[row["regime"]]}
    text = environment.get_template("page.html.j2").render(
        run=run,
        rows=_rows(table),
        class_rows=_rows(classes),
        datasets=datasets,
        settings=table.iloc[0].to_dict(),
        configuration=json.dumps(configuration, indent=2),
        measurement_rows=_rows(measurements),
        attack_rows=_rows(attacks),
        extended=bool(table["extended"].any()),
        weaker=table.iloc[0]["method"] in WEAKER,
        guarantee=GUARANTEES[table.iloc[0]["method"]],
        curves=[Markup(_inline_svg(Path(curve), number)) for number, curve in enumerate(curves)],
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


def _digits(value: float) -> str:
    """Three digits for small numbers, whole numbers from 100 on."""
    return "n/a" if math.isnan(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _inline_svg(path: Path, number: int) -> str:
    """The SVG element of a file, its ids made different from those of other figures on the page."""
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    return re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>f{number}-", text)


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
