"""The results page: a single HTML file that opens offline."""

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
from segcert.provenance.ledger import notice
from segcert.report.captions import FIGURES, TABLES, table_caption
from segcert.report.data_summary import DataSummary
from segcert.report.format import draws
from segcert.report.html import data_uri, inline_svg, render, script_value, svg_width
from segcert.report.html_tables import page_table
from segcert.report.typical import Typical, read_typical
from segcert.results.claims import CLAIMS, with_untested
from segcert.results.confidence import FEW, FEW_FAILED, FEWEST_GROUPS
from segcert.results.labels import BEHIND, CLASS_COLORS, TRAINED, describe
from segcert.results.radius_rows import map_method
from segcert.results.table_columns import METRICS, ON_THE_PAGE
from segcert.results.tables import DECISIONS, MODEL, OUTCOMES, read_table, records

INLINE = 8_000_000  # largest total size, in bytes, of the viewer's data inside the page
VERSIONS = ("torch", "diffusers", "monai", "numpy", "scipy", "pandas")
TYPES = {".csv": "text/csv", ".tex": "application/x-tex"}  # media types of downloads
CLASSICAL = {"nl_means": "non-local means", "wavelet": "wavelet thresholding"}  # methods in the denoiser table


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the viewer's data, which is inside the page or in a file next to the page.

    For a part inside the page, `file` is None, and `script` is the script. For a part in a file, `file` is the path of
    the file relative to the page, and `script` is empty.
    """

    dataset: str
    part: str
    file: str | None
    script: Markup


def render_page(
    output: str | Path,
    *,
    configuration: Mapping[str, Any],
    tables: Mapping[str, str | Path],
    downloads: Sequence[str | Path],
    datasets: Sequence[DataSummary],
    manifests: Mapping[str, Mapping[str, Any]],
    curves: Sequence[str | Path],
    typical: Sequence[str | Path],
    typical_images: Sequence[str | Path],
    galleries: Mapping[str, str],
    viewer: Mapping[tuple[str, str], str | Path],
    seconds: pd.DataFrame,
    checks: Mapping[str, Any],
    digests: Mapping[str, str],
    run_records: Sequence[Mapping[str, Any]],
    collected: Mapping[str, Any] | None = None,
) -> None:
    """Write the results page of a run to one HTML file.

    Parameters
    ----------
    tables
        Dict that maps the names of tables (segcert.results.table_columns) to their CSV files.
    downloads
        Files that the page embeds as downloads.
    manifests
        Dict that maps data sets to the manifests of their raw files. Generated data have no manifest.
    curves
        SVG files of the figures. Figures without data have no file.
    typical, typical_images
        `typical` are JSON files about the typical image of each data set (segcert.report.typical), in the order of
        `datasets`. `typical_images` are the two PNG files for the first data set
        (segcert.report.gallery.write_typical_images).
    galleries
        Dict that maps the path of each gallery's PNG file to its caption.
    viewer
        Dict that maps (data set, part) to the file with this part of the viewer's data (segcert.report.viewer).
    seconds
        Wall time per draw for each pairing.
    checks
        The result of auditing all files from which the page is made.
    digests
        SHA-256 digests of the data, the models and the certificates, keyed by file.
    run_records
        Run records of the jobs, which contain package versions, processors and devices.
    collected
        Run record of certificates.parquet, which contains the number of decisions (segcert.provenance.ledger).
    """
    frames = {name: read_table(path) for name, path in tables.items()}
    main, attacks = frames["main"], frames["attacks"]
    settings = main.iloc[0].to_dict()
    settings["n"] = draws(settings["n"], settings["looks"])
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
        expected_share=METHODS[settings["method"]].expected_share,
        together=_error_probability(main, frames["measurements"]),
        map_method=map_method(settings["method"]),
        undefined=bool(main["undefined"].any()),
        later=notice(collected),
        beyond_training=bool(
            (main["sigma"] > configuration["segmenter"]["sigma_max"]).loc[main["regime"] == "noise"].any()
        ),
        sigma_max=configuration["segmenter"]["sigma_max"],
        samples={name: sample_limits(rows) for name, rows in main.groupby("dataset", sort=False)},
        headlines=[_headline(main, *each) for each in zip(datasets, map(read_typical, typical), strict=True)],
        typical_images=[data_uri(Path(path).read_bytes()) for path in typical_images],
        finding=_finding(main),
        no_better=no_better_than_classical(frames["denoisers"]),
        tables={name: page_table(name, frames[name], weaker) for name in shown},
        captions={name: table_caption(name, weaker) for name in TABLES},
        explained=[column for column in METRICS if column.meaning and not (weaker and column.strict)],
        claims=_claims(frames["claims"]),
        downloads={path.name: data_uri(path.read_bytes(), TYPES[path.suffix]) for path in map(Path, downloads)},
        decisions=frames["measurements"][[*DECISIONS, *OUTCOMES]].sum().to_dict(),
        alphas_each=sorted(frames["measurements"]["alpha"].unique()),
        refuted=int(attacks["refuted"].sum()),
        powers=_powers(attacks),
        seconds=seconds.assign(regime=seconds["regime"].map(TRAINED)).to_dict("records"),
        datasets=datasets,
        manifests=manifests,
        figures=_figures(curves),
        galleries=[(data_uri(Path(path).read_bytes()), caption) for path, caption in galleries.items()],
        parts_of_viewer=parts,
        viewer=_manifest(main, datasets, parts),
        class_colors=CLASS_COLORS,
        colors_of_script=script_value(CLASS_COLORS),
        checks=checks,
        digests=digests,
        versions={"python": platform.python_version()} | versions,
        devices=sorted(devices),
        git=git_state(),
        configuration=json.dumps(configuration, indent=2),
        configuration_file=data_uri(json.dumps(configuration, indent=1).encode(), "application/yaml"),
    )


def _error_probability(main: pd.DataFrame, measurements: pd.DataFrame) -> float:
    """Return the sum of the error probabilities of all labels, radius maps and sets of intervals of a run.

    For each image, model and noise level, the labels, the radius map and the set of intervals have an error probability
    of alpha each. The labels are not included if the method only bounds an expected share.
    """
    of_labels = not METHODS[main["method"].iloc[0]].expected_share
    statements = (of_labels + 1) * main["images"].sum() + measurements.drop_duplicates(MODEL)["image"].sum()
    return float(main["alpha"].iloc[0] * statements)


def _headline(main: pd.DataFrame, dataset: DataSummary, typical: Typical) -> dict[str, Any]:
    """Return the row of the best pairing on a data set, the typical image, and the number of test images."""
    keys = {"dataset": dataset.about["name"], "model": typical.model, "regime": typical.regime}
    keys |= {"denoiser": typical.denoiser, "sigma": typical.sigma}
    (row,) = _stated(main[(main[list(keys)] == pd.Series(keys)).all(axis=1)])
    return {
        "row": row,
        "typical": typical,
        "about": dataset.about,
        "pairing": describe(typical.model, typical.regime, typical.denoiser),
        "test_images": dataset.splits["test"].images,
    }


def sample_limits(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the limitations of the intervals in the rows of a data set, for the notice `intervals`.

    `few` is True if there are so few groups that the coverage may be too low. `grouped` is True if there are so few
    groups that all images are treated as independent. Among the rows with fewer than FEW_FAILED failed images, `failed`
    is the largest number of failed images, or 0.
    """
    smallest = rows.sort_values("groups").iloc[0]
    failed = rows["failed"][rows["failed"] < FEW_FAILED]
    return {
        "images": int(smallest["images"]),
        "groups": int(smallest["groups"]),
        "few": smallest["groups"] < FEW,
        "grouped": smallest["groups"] < min(FEWEST_GROUPS, smallest["images"]),
        "failed": int(failed.max()) if len(failed) else 0,
    }


def no_better_than_classical(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the denoisers whose PSNR does not exceed that of the best classical method at the same noise level."""
    remarks = []
    numbered = _stated(scores, "denoisers")
    for row in numbered:
        same_noise = [each for each in numbered if (each["dataset"], each["sigma"]) == (row["dataset"], row["sigma"])]
        classical = [each for each in same_noise if each["method"] in CLASSICAL]
        if row["method"] in (*CLASSICAL, "noisy") or not classical:
            continue
        best = max(classical, key=lambda each: each["psnr"])
        if row["psnr"] <= best["psnr"]:
            remarks.append({"denoiser": row, "classical": best, "name": CLASSICAL[best["method"]]})
    return remarks


def _powers(attacks: pd.DataFrame) -> list[float]:
    """Return the highest power of the attacks over all norms, for each model and noise level."""
    return [] if attacks.empty else [float(power) for power in attacks.groupby(MODEL)["power"].max()]


def _finding(main: pd.DataFrame) -> dict[str, Any] | None:
    """Return two rows about the first clean-trained model at the middle sigma, without and with a denoiser.

    If the run lacks one of these rows, return None.
    """
    sigmas = sorted(main["sigma"].unique())
    at_sigma = main[(main["regime"] == "clean") & (main["sigma"] == sigmas[len(sigmas) // 2])]
    bare = at_sigma[at_sigma["denoiser"] == "none"]
    behind = at_sigma[at_sigma["denoiser"] != "none"]
    if bare.empty or behind.empty:
        return None
    return {"bare": _stated(bare)[0], "behind": _stated(behind)[0], "front": BEHIND[behind["denoiser"].iloc[0]]}


def _stated(rows: pd.DataFrame, table: str = "main") -> list[dict[str, Any]]:
    """Return table rows with the additional keys `_table` and `_row`, for numbers in sentences (see `cell`)."""
    numbered = zip(rows.index, records(rows), strict=True)
    return [{"_table": table, "_row": number} | row for number, row in numbered]


def _claims(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return, for each claim, its sentence, the number of cases with each verdict, and a table of the cases."""
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
    """Return the parts of the viewer's data. They are inside the page if their total size is at most INLINE."""
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
    """Return the choices in the viewer, as JSON for its script. `first` is the pairing that is shown first."""
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
    """Return a dict that maps figure names to the caption, alternative text, page section, SVG element and width."""
    figures = {}
    for number, path in enumerate(map(Path, files)):
        svg = Markup(inline_svg(path, number))  # noqa: S704
        figure = FIGURES[path.stem]
        shown = {
            "caption": figure.caption,
            "alt": figure.alt,
            "section": figure.section,
            "svg": svg,
            "width": svg_width(svg),
        }
        figures[path.stem] = shown
    return figures
