"""The summary of a run, which is a PDF file of two A4 pages, typeset with typst.

The typst template inserts the values in data.json as plain text, so that names are not interpreted as markup.
"""

import dataclasses
import datetime
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import typst

from segcert.certification.methods import METHODS
from segcert.io.atomic import atomic_file
from segcert.provenance.digests import file_digest
from segcert.provenance.git import commit_time, git_state
from segcert.provenance.ledger import notice
from segcert.report.data_summary import DataSummary
from segcert.report.figures import overview_figure
from segcert.report.format import draws, listed, shorten
from segcert.report.html import TEMPLATES
from segcert.report.pdf_tables import claims_table, measured_table, results_table
from segcert.report.style import TEXT_MM, Layout, save_print

VERSIONS = ("torch", "diffusers", "numpy", "scipy", "pandas", "snakemake")
SETS = 8  # largest number of data sets for which sources are printed
CURVES = (5, 4)  # largest numbers of data sets and models for which curves are drawn


def write_summary(
    output: str | Path,
    *,
    run: str,
    main: pd.DataFrame,
    measurements: pd.DataFrame,
    claims: pd.DataFrame | None,
    datasets: Sequence[DataSummary],
    manifests: Mapping[str, Mapping[str, Any]],
    example: tuple[str | Path, str],
    certificates: str | Path,
    packages: Mapping[str, str],
    configuration: str | None = None,
    collected: Mapping[str, Any] | None = None,
) -> None:
    """Write the summary of a run. The file depends only on the date of the commit and on the arguments.

    Parameters
    ----------
    main, measurements, claims
        Tables of the report, which are shown in condensed form. The claims are full sentences. `claims` is None if the
        run has no claims.
    manifests
        Dict that maps data sets to the manifests of their raw files. Generated data sets have no manifest.
    example
        Path of an image (PNG) and its caption.
    certificates
        Path of the file with the certificates from which the numbers are computed.
    packages
        Dict that maps package names to versions.
    configuration
        Path of the configuration file, which is named after the run and contains the settings that differ from the
        defaults, or None.
    collected
        Run record of the certificates file, which contains the number of decisions (segcert.provenance.ledger).
    """
    curves = main[
        main["dataset"].isin(main["dataset"].unique()[: CURVES[0]])
        & main["model"].isin(main["model"].unique()[: CURVES[1]])
    ]
    commit = git_state()
    made = commit_time() if commit["commit"] else None
    commands = [f"git checkout {commit['commit'][:12]}"] if commit["commit"] else []
    commands.append(f"snakemake --configfile {configuration}" if configuration else "snakemake")
    sources = []
    for about in (each.about for each in datasets[:SETS]):
        text = f"{about['citation'].rstrip('.')}. Licence: {about['licence']}. {about['terms']}"
        sources.append({"title": shorten(about["title"], 60), "text": shorten(text, 330)})
    data = {
        "run": run,
        "made": made.date().isoformat() if made else None,
        "lead": _lead(main, datasets),
        "guarantee": _guarantee(main),
        "notices": list(_notices(main, datasets, manifests, collected)),
        "curves": _curves_caption(main, curves),
        "results": dataclasses.asdict(results_table(main)),
        "claims": None if claims is None else dataclasses.asdict(claims_table(claims)),
        "measurements": dataclasses.asdict(measured_table(measurements, main)),
        "example": shorten(example[1], 700),
        "sources": sources,
        "sources_left_out": max(0, len(datasets) - SETS),
        "commit": commit["commit"],
        "clean": commit["clean"],
        "versions": ", ".join(f"{name} {packages[name]}" for name in VERSIONS if name in packages),
        "certificates": str(certificates),
        "digest": file_digest(certificates),
        "commands": [*commands, "snakemake audit"],
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shutil.copy(example[0], root / "example.png")
        save_print(
            root / "figure.pdf", overview_figure, [curves], Layout(TEXT_MM, min(58.0, 84 / curves["model"].nunique()))
        )
        (root / "data.json").write_text(json.dumps(data), encoding="utf-8")
        shutil.copy(TEMPLATES / "summary.typ", root / "summary.typ")
        pdf = typst.compile(
            root / "summary.typ", root=root, format="pdf", ignore_system_fonts=True, timestamp=made or EPOCH
        )
    with atomic_file(output) as path:
        path.write_bytes(pdf)


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)  # timestamp of a summary made outside a Git checkout


def _lead(main: pd.DataFrame, datasets: Sequence[DataSummary]) -> str:
    images = {str(dataset): rows["images"].max() for dataset, rows in main.groupby("dataset", sort=False)}
    shown = [
        f"{images.get(each.about['name'], 0)} images of {shorten(each.about['title'], 60)}" for each in datasets[:SETS]
    ]
    if len(datasets) > SETS:
        shown.append(f"{len(datasets) - SETS} further data sets")
    denoisers = [each for each in main["denoiser"].unique() if each != "none"]
    front = "without a denoiser"
    if denoisers:
        alone = "none" in set(main["denoiser"])
        front = "with and without a diffusion denoiser in front" if alone else "behind a diffusion denoiser"
    models = shorten(listed(main["model"].unique(), "text"), 160)
    return (
        f"Segmentation networks ({models}), {front}, were smoothed with Gaussian noise of standard"
        f" deviation σ = {listed(main['sigma'].unique())} (for pixel values in [0, 1]). They were certified on"
        f" test images: {', '.join(shown)}."
    )


def _guarantee(main: pd.DataFrame) -> str:
    first, radii = main.iloc[0], main.drop_duplicates("sigma")
    k = f", k = {first['k']}" if METHODS[first["method"]].takes_k else ""
    guarantee = METHODS[first["method"]].guarantee.replace("1 - alpha", "1 − α").replace("alpha", "α")
    return (
        "A certified pixel keeps the label that the smoothed network gives it under any perturbation of the image "
        f"whose l2 norm is below the radius, which is {listed(radii['radius'], 'number', 3)} at these σ. Guarantee: "
        f"{guarantee} (method: {first['method']}{k}, α = {first['alpha']:g}, τ = {first['tau']:g}, {first['n0']} + "
        f"{draws(first['n'], first['looks'])} noisy copies of each image)."
    )


def _notices(
    main: pd.DataFrame,
    datasets: Sequence[DataSummary],
    manifests: Mapping[str, Mapping[str, Any]],
    collected: Mapping[str, Any] | None,
) -> Iterator[tuple[str, str]]:
    """Yield warnings for the reader. A warning consists of a bold heading and the text after it."""
    synthetic = _titles(each for each in datasets if each.about["synthetic"])
    if synthetic:
        text = "They were generated by segcert and show no patient. The results say nothing about clinical use."
        yield f"{synthetic}: synthetic images.", text
    method = main.iloc[0]["method"]
    if METHODS[method].weaker:
        text = f"Under {method}, individual certified pixels may be wrong. All numbers here include such pixels."
        yield "A weaker guarantee than under segcertify.", text
    if main["undefined"].any():
        text = (
            f"On up to {main['undefined'].max()} images, a structure is absent from the ground truth and no pixel is"
            " certified as it. Means skip it, so rows can be about different images."
        )
        yield "Certified Dice is undefined on some images.", text
    if decisions := notice(collected):
        yield decisions
    unofficial = []
    for each in datasets:
        archives = manifests.get(each.about["name"], {}).get("archives", ())
        if any(archive["official"] is False for archive in archives):
            unofficial.append(each)
    if unofficial:
        yield f"{_titles(unofficial)}: not the official release.", "Do not compare these results with published ones."
    leaky = _titles(each for each in datasets if each.leaks)
    if leaky:
        yield f"{leaky}: the split leaks.", "Results are better than they would be on new patients."


def _curves_caption(main: pd.DataFrame, drawn: pd.DataFrame) -> str:
    metrics = "Certified Dice" if drawn["dataset"].nunique() > 1 else "Certified Dice and share of abstaining pixels"
    text = (
        f"{metrics} at each noise level. Error bars are 95% confidence intervals. Thin lines show the Dice of the vote."
    )
    left_out = []
    for key, name in {"dataset": "data sets", "model": "models"}.items():
        shown, there = drawn[key].nunique(), main[key].nunique()
        if shown < there:
            left_out.append(f"{shown} of {there} {name}")
    if left_out:
        text += f" Only {' and '.join(left_out)} are shown; figures/certified_dice.pdf shows all."
    return text


def _titles(datasets: Iterable[DataSummary]) -> str:
    return shorten(", ".join(each.about["title"] for each in datasets), 160)
