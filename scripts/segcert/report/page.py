"""The page: one HTML file that opens offline."""

import dataclasses
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from segcert.certification.methods import METHODS
from segcert.provenance.git import git_state
from segcert.report.captions import FIGURES, TABLES, table_caption
from segcert.report.data_summary import DataSummary
from segcert.report.html import data_uri, inline_svg, render, script_value
from segcert.report.html_tables import page_table
from segcert.results.claims import CLAIMS, with_untested
from segcert.results.labels import BEHIND, CLASS_COLORS, TRAINED, describe
from segcert.results.radius_rows import map_method
from segcert.results.table_columns import METRICS, ON_THE_PAGE
from segcert.results.tables import read_table, records

INLINE = 8_000_000  # bytes of the viewer's parts up to which the page holds them all
VERSIONS = ("torch", "diffusers", "monai", "numpy", "scipy", "pandas")
TYPES = {".csv": "text/csv", ".tex": "application/x-tex", ".yaml": "application/yaml"}


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of what the viewer shows: the text of its script, or the file beside the page that holds it."""

    dataset: str
    part: str
    file: str | None
    script: Markup


@dataclasses.dataclass(frozen=True)
class Download:
    """A file that travels inside the page."""

    name: str
    address: str


def render_page(
    output: str | Path,
    *,
    configuration: Mapping[str, Any],
    tables: Mapping[str, str | Path],
    downloads: Sequence[str | Path],
    datasets: Sequence[DataSummary],
    manifests: Mapping[str, Mapping[str, Any]],
    curves: Sequence[str | Path],
    galleries: Mapping[str, str],
    viewer: Mapping[tuple[str, str], str | Path],
    seconds: pd.DataFrame,
    checks: Mapping[str, Any],
    digests: Mapping[str, str],
    run_records: Sequence[Mapping[str, Any]],
) -> None:
    """Render the report of a run to one HTML file.

    tables: CSV files by name (segcert.report.html_tables). downloads: files that travel inside the page. manifests:
    of the raw files, by data set, where there are any. curves: SVG files, by stem; where there is nothing to show, one
    is not there. galleries: caption by PNG file. viewer: its parts by data set and name (segcert.report.viewer).
    seconds: wall time per draw of each pairing. checks: what the audit of all that the page rests on found. digests:
    SHA-256 by file. run_records: for the versions of packages and the processors and devices that jobs ran on.
    """
    frames = {name: read_table(path) for name, path in tables.items()}
    main, attacks = frames["main"], frames["attacks"]
    settings = main.iloc[0].to_dict()
    weaker = METHODS[settings["method"]].weaker
    shown = [name for name in ON_THE_PAGE if name in frames]
    parts = _parts(Path(output), viewer)
    packages: dict[str, str] = {}
    devices: set[str] = set()
    for record in run_records:
        packages |= record.get("packages", {})
        devices |= {str(record[key]) for key in ("device", "processor") if record.get(key)}
    versions = {name: packages[name] for name in VERSIONS if name in packages}
    render(
        output,
        "page.html.j2",
        run=configuration["run"],
        settings=settings,
        guarantee=METHODS[settings["method"]].guarantee,
        weaker=weaker,
        map_method=map_method(settings["method"]),
        extended=bool(main["extended"].any()),
        beyond_training=bool(
            (main["sigma"] > configuration["segmenter"]["sigma_max"]).loc[main["regime"] == "noise"].any()
        ),
        sigma_max=configuration["segmenter"]["sigma_max"],
        scope={
            "datasets": _stated(main.drop_duplicates("dataset")),
            "models": list(main["model"].unique()),
            "levels": _stated(main.drop_duplicates("sigma").sort_values("sigma")),
        },
        finding=_finding(main),
        tables={name: page_table(name, frames[name], weaker) for name in shown},
        captions={name: table_caption(name, weaker) for name in TABLES},
        explained=[column for column in METRICS if column.meaning and not (weaker and column.strict)],
        claims=_claims(frames["claims"]),
        downloads={path.name: _inside(path.name, path.read_bytes()) for path in map(Path, downloads)},
        alphas_each=sorted(frames["measurements"]["alpha"].unique()),
        refuted_inside=bool((attacks["refuted"][attacks["factor"] <= 1] > 0).any()),
        seconds=seconds.assign(regime=seconds["regime"].map(TRAINED)).to_dict("records"),
        datasets=datasets,
        manifests=manifests,
        figures=_figures(curves),
        galleries=[(data_uri(Path(path).read_bytes()), caption) for path, caption in galleries.items()],
        parts_of_viewer=parts,
        viewer=_manifest(main, datasets, parts),
        class_colors=script_value(CLASS_COLORS),
        checks=checks,
        digests=digests,
        versions={"python": platform.python_version()} | versions,
        devices=sorted(devices),
        git=git_state(),
        configuration=json.dumps(configuration, indent=2),
        configuration_file=_inside("configuration.yaml", json.dumps(configuration, indent=1).encode()),
    )


def _finding(main: pd.DataFrame) -> dict[str, Any] | None:
    """The first clean-trained model at the middle sigma, without and behind its denoiser; None without one of them."""
    sigmas = sorted(main["sigma"].unique())
    at_sigma = main[(main["regime"] == "clean") & (main["sigma"] == sigmas[len(sigmas) // 2])]
    bare = at_sigma[at_sigma["denoiser"] == "none"]
    behind = at_sigma[at_sigma["denoiser"] != "none"]
    if bare.empty or behind.empty:
        return None
    return {"bare": _stated(bare)[0], "behind": _stated(behind)[0], "front": BEHIND[behind["denoiser"].iloc[0]]}


def _stated(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the main table that sentences speak of (see segcert.report.html.cell)."""
    numbered = zip(rows.index, records(rows), strict=True)
    return [{"_table": "main", "_row": number} | row for number, row in numbered]


def _claims(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Each claim in words, on how many cases it holds, and the cases."""
    return [
        {
            "text": CLAIMS[str(claim)].sentence,
            "source": CLAIMS[str(claim)].source,
            "verdicts": cases["verdict"].value_counts().to_dict(),
            "cases": len(cases),
            "table": page_table("claims", cases, weaker=False),
        }
        for claim, cases in with_untested(frame).groupby("claim", sort=False)
    ]


def _parts(page: Path, viewer: Mapping[tuple[str, str], str | Path]) -> list[Part]:
    """The parts of the viewer: inside the page while they are small together, else beside it."""
    inside = sum(Path(path).stat().st_size for path in viewer.values()) <= INLINE
    return [
        Part(
            dataset,
            part,
            None if inside else Path(path).relative_to(page.parent).as_posix(),
            Markup(Path(path).read_text(encoding="ascii")) if inside else Markup(""),  # noqa: S704
        )
        for (dataset, part), path in viewer.items()
    ]


def _manifest(main: pd.DataFrame, datasets: Sequence[DataSummary], parts: Sequence[Part]) -> Markup:
    """What the viewer can show, as a script may hold it; first: the pairing that it opens with."""
    pairings = list(main[["model", "regime", "denoiser"]].drop_duplicates().itertuples(index=False, name=None))
    keys = {pairing: "{}-{}/{}".format(*pairing) for pairing in pairings}
    behind = [pairing for pairing in pairings if pairing[2] != "none"]
    content = {
        "datasets": [{"name": each.about["name"], "title": each.about["title"]} for each in datasets],
        "models": [{"key": keys[pairing], "words": describe(*pairing)} for pairing in pairings],
        "sigmas": [f"{sigma:g}" for sigma in main["sigma"].unique()],
        "parts": [{"dataset": each.dataset, "part": each.part, "file": each.file} for each in parts],
        "first": keys[(behind or pairings)[0]],
    }
    return script_value(content)


def _figures(files: Sequence[str | Path]) -> dict[str, dict[str, Any]]:
    """The figures of which there is a file, in this order: what is said of each, and its drawing."""
    figures = {}
    for number, path in enumerate(map(Path, files)):
        svg = Markup(inline_svg(path, number))  # noqa: S704
        figure = FIGURES[path.stem]
        shown = {"caption": figure.caption, "alt": figure.alt, "section": figure.section, "svg": svg}
        figures[path.stem] = shown
    return figures


def _inside(name: str, content: bytes) -> Download:
    return Download(name, data_uri(content, TYPES[Path(name).suffix]))
