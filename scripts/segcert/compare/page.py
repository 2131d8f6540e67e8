"""Comparison page: an HTML page that shows several finished runs of a checkout side by side. It works offline."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from segcert.certification.methods import METHODS
from segcert.compare.numbers import BY_NAME, MISSING, NO_REFERENCE, NOT_PAIRED, REFERENCE, compare_table, same_images
from segcert.compare.records import ABSENT, leaves
from segcert.compare.runs import SHOWN, ComparedRun, missing_columns, read_runs
from segcert.config.errors import in_yaml
from segcert.io.atomic import atomic_file
from segcert.report.data_summary import DataSummary, read_summary
from segcert.report.format import draws
from segcert.report.html import render
from segcert.report.style import MODEL_MARKERS, inline_figure, shared_legend
from segcert.results.labels import BEHIND, TRAINED
from segcert.results.tables import MODEL, error_bars

LONGEST = 200  # largest number of characters in a folder name; file systems allow 255
# Okabe and Ito's palette without yellow, which is hard to see on white paper. Purple completes the eight colours.
RUN_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7B3294")
LINES = {"capsize": 2, "markersize": 5, "linewidth": 1}
MOST_COLUMNS = 4
SPREAD = 0.012  # distance between runs, as a share of the panel width; otherwise equal numbers would overlap


def write_comparison(names: Sequence[str], root: str | Path = ".") -> Path:
    """Write the comparison page of some runs, reports/<names joined by +>/index.html, and return its path.

    The numbers on the page are also written to tables/compare.csv in the same folder. No run uses this folder, because
    run names contain no `+`. Nothing is rerun. Raises CompareError if the runs cannot be compared
    (segcert.compare.runs).
    """
    runs = read_runs(names, root)
    table = compare_table(runs)
    folder = Path(root, "reports", folder_name(names))
    with atomic_file(folder / "tables" / "compare.csv") as path:
        table.to_csv(path, index=False)
    blocks = []
    for key, group in table.assign(number=range(len(table))).groupby(MODEL, sort=False):
        blocks.append(dict(zip(MODEL, key, strict=True)) | {"rows": group.to_dict("records")})
    summaries: dict[str, DataSummary] = {}  # by data set, from the first run that has a summary
    for run in runs:
        for dataset in run.certificates["dataset"].unique():
            path = Path(root, "reports", run.name, "tables", f"data_{dataset}.json")
            if path.exists():
                summaries.setdefault(dataset, read_summary(path))
    page = folder / "index.html"
    render(
        page,
        "compare.html.j2",
        runs=[_about(run) for run in runs],
        notices=list(_notices(runs)),
        datasets=list(summaries.values()),
        settings=_differing_settings(runs),
        blocks=blocks,
        figure=inline_figure(_draw(table)),
        trained=TRAINED,
        missing=MISSING,
        undefined=bool(table["undefined"].fillna(0).any()),
        without_difference=(REFERENCE, NO_REFERENCE, *NOT_PAIRED),
        weaker=[run.name for run in runs if METHODS[run.settings["method"]].weaker],
    )
    return page


def folder_name(names: Sequence[str]) -> str:
    """Return the folder name of a comparison: the names of the runs, joined by `+`.

    A folder name longer than LONGEST is replaced by the first run, the number of other runs and a digest of all names.
    """
    joined = "+".join(names)
    if len(joined) <= LONGEST:
        return joined
    return f"{names[0]}+{len(names) - 1}+{hashlib.sha256(joined.encode()).hexdigest()[:16]}"


def _about(run: ComparedRun) -> dict[str, Any]:
    images = run.certificates.groupby("dataset", sort=False)["image"].nunique()
    looks = run.certificates["looks"].iloc[0]
    return run.settings | {
        "n": draws(run.settings["n"], looks),
        "name": run.name,
        "guarantee": _guarantee(run),
        "paged": run.paged,
        "images": ", ".join(f"{count} of {dataset}" for dataset, count in images.items()),
    }


def _guarantee(run: ComparedRun) -> str:
    """Return the guarantee of a run's certificates as text."""
    method, alpha = run.settings["method"], run.settings["alpha"]
    k = f", k = {run.settings['k']}" if METHODS[method].takes_k else ""
    return f"{METHODS[method].guarantee} (alpha = {alpha:g}{k})"


def _differing_settings(runs: Sequence[ComparedRun]) -> dict[str, list[str]]:
    """Return a dict of the settings that differ between runs, with each run's value as YAML.

    The keys are dotted names, such as `segmenter.width`.
    """
    flat = [dict(leaves(run.configuration)) for run in runs]
    differing = {}
    for name in dict.fromkeys(key for each in flat for key in each):
        values = [each.get(name, ABSENT) for each in flat]
        if name == "run" or all(value == values[0] for value in values):
            continue
        shown = [ABSENT if value == ABSENT else in_yaml(value) for value in values]
        differing[name] = [text if run.configuration else "unknown" for run, text in zip(runs, shown, strict=True)]
    return differing


def _notices(runs: Sequence[ComparedRun]) -> Iterator[tuple[str, str]]:
    """Yield a heading and a text about each difference that affects the comparison, starting with the most serious."""
    weaker = [f"{run.name} ({run.settings['method']})" for run in runs if METHODS[run.settings["method"]].weaker]
    if len({_guarantee(run) for run in runs}) > 1:
        text = "A certified pixel does not mean the same thing in all runs. The table of runs states each guarantee."
        if weaker:
            text += (
                f" These runs have weaker guarantees than under segcertify: {', '.join(weaker)}. In these runs, "
                "individual certified pixels may be wrong, so more certified pixels do not mean a better certificate."
            )
        yield "These runs have different guarantees.", text
    elif weaker:
        yield (
            "A weaker guarantee than under segcertify.",
            f"In all these runs, individual certified pixels may be wrong ({runs[0].settings['method']}).",
        )
    if len({run.settings["tau"] for run in runs}) > 1:
        taus = ", ".join(f"{run.name}: tau = {run.settings['tau']:g}" for run in runs)
        yield (
            "The certified radius differs at the same sigma.",
            f"The radius is sigma * Phi^-1(tau), and tau differs ({taus}). A lower Dice at a larger radius does not "
            "mean a worse certificate. The table shows each radius.",
        )
    sizes = {run.name: run.configuration["image_size"] for run in runs if "image_size" in run.configuration}
    if len(set(sizes.values())) > 1:
        yield (
            "The images have different sizes.",
            f"{', '.join(f'{name}: {size} pixels' for name, size in sizes.items())}. The same l2 radius allows a "
            "different change per pixel at each size.",
        )
    for run in runs[1:]:
        yield from _pairing_notices(runs[0], run)
    yield from ((f"{run.name}: {run.decisions[0]}", run.decisions[1]) for run in runs if run.decisions)
    for run, missing in zip(runs, missing_columns(SHOWN, *(run.columns for run in runs)), strict=True):
        if missing:
            yield (
                f"{run.name} lacks columns that another run or this version of segcert has:",
                f"{', '.join(missing)}. The other columns are compared.",
            )
    for run in runs:
        if not run.configuration:
            yield (
                f"The settings of {run.name} are unknown.",
                "There is no run record next to its page, so the table of settings contains no values for this run.",
            )
        elif outdated := run.outdated():
            yield (
                f"{run.name} was not finished after its last change.",
                f"Its page and its certificates have different values of {', '.join(outdated)}. The numbers here come "
                "from the certificates. Run snakemake again with the run's settings.",
            )


def _pairing_notices(first: ComparedRun, run: ComparedRun) -> Iterator[tuple[str, str]]:
    for dataset, (_, note) in same_images(first, run).items():
        if note in NOT_PAIRED and dataset in set(first.certificates["dataset"]):
            yield f"{run.name} is not paired with {first.name} on {dataset}:", f"{NOT_PAIRED[note]}."
        elif note == BY_NAME:
            yield (
                f"{run.name} is paired with {first.name} on {dataset} by image names only.",
                "It is unknown whether their pixels are equal, because the votes of a run are missing.",
            )


def _draw(table: pd.DataFrame) -> Figure:
    """Draw certified Dice against sigma.

    There is a panel for each data set and pairing. Each run has its own colour and marker.
    """
    runs = list(dict.fromkeys(table["run"]))
    present = table[table["note"] != MISSING]
    panels = list(present.groupby(["dataset", "model", "regime", "denoiser"], sort=False))
    columns = min(MOST_COLUMNS, max(2, len(panels)))
    rows = -(-len(panels) // columns)
    with mpl.rc_context({"text.parse_math": False}):  # a name with two dollar signs is not a formula
        figure = Figure(figsize=(2.9 * columns, 2.7 * rows + 0.4 + 0.2 * len(runs)))
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
        step = SPREAD * max(float(np.ptp(present["sigma"])), 0.1)
        for panel, ((dataset, model, regime, denoiser), chosen) in zip(axes.flat, panels, strict=False):
            for number, run in enumerate(runs):
                group = chosen[chosen["run"] == run]
                x = group["sigma"] + step * (number - (len(runs) - 1) / 2)
                bars = error_bars(group, "certified_dice")
                look = LINES | {"color": RUN_COLORS[number], "marker": MODEL_MARKERS[number]}
                panel.errorbar(x, group["certified_dice"], yerr=bars, label=run, **look)
            sigmas = sorted(chosen["sigma"].unique())
            panel.set_xticks(sigmas, [f"{sigma:g}" for sigma in sigmas])
            panel.set_title(f"{dataset}, {model}\ntrained {TRAINED[str(regime)]},\n{BEHIND[str(denoiser)]}", fontsize=8)
            panel.set(ylim=(-0.02, 1.02), xlabel="sigma (pixels in [0, 1])")
            panel.tick_params(labelleft=True)
            panel.grid(axis="y", alpha=0.3)
        for panel in axes.flat[len(panels) :]:
            panel.axis("off")
        for panel in axes[:, 0]:
            panel.set_ylabel("certified Dice")
        shared_legend(figure, 2.4)
    return figure
