"""The numbers of several runs side by side, and the paired differences from the first run.

Certified Dice of several runs against sigma.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from segcert.compare.numbers import compare_numbers
from segcert.compare.runs import ComparedRun
from segcert.report.style import MODEL_MARKERS, shared_legend
from segcert.results.bootstrap import DIFFERENCE
from segcert.results.labels import BEHIND, TRAINED
from segcert.results.tables import MODEL, SETTINGS, error_bars

SHOWN = ["certified_dice", "worst_case_dice"]  # with their intervals
NUMBERS = [*itertools.chain.from_iterable((name, f"{name}_low", f"{name}_high") for name in SHOWN), "abstain"]
PAIRED = ["paired_images", *DIFFERENCE[1:]]
COUNTS = ["n0", "n", "k", "images", "paired_images"]
REFERENCE, MISSING, NO_REFERENCE = "reference", "not in this run", "not in the first run"
BY_NAME = "paired by name"
NOT_PAIRED = {
    "no image in common": "their test images have different names",
    "other pixels": "images of the same names have other pixels: prepared otherwise, or at another size",
    "no number": "no image in common has a number in both",
}


def compare_table(runs: Sequence[ComparedRun]) -> pd.DataFrame:
    """A row per data set, model, regime, denoiser, sigma and run, in this order, also where a run lacks the row.

    Columns: settings of the certificates; images; certified and worst-case Dice with their 95% bootstrap intervals,
    abstain, radius (as in the main table of the run); and against the first run the mean difference of certified Dice
    on the same images with its 95% interval from a paired bootstrap over them, and paired_images, their number. note
    says why there are no numbers or no difference: `reference` (the first run), `not in this run`, `not in the first
    run`, a key of NOT_PAIRED; or `paired by name`: no votes are here to say whether the pixels are the same.
    """
    tables = [run.table().set_index(MODEL) for run in runs]
    differences = [_differences(runs[0], run) for run in runs[1:]]
    notes = [{}, *(_pairing_notes(runs[0], run) for run in runs[1:])]
    rows: list[dict[str, Any]] = []
    for key in _in_order([key for table in tables for key in table.index]):
        for number, (run, table) in enumerate(zip(runs, tables, strict=True)):
            row: dict[str, Any] = dict(zip(MODEL, key, strict=True)) | {"run": run.name}
            if key not in table.index:
                rows.append(row | {"note": MISSING})
                continue
            row |= {name: table.loc[key, name] for name in (*SETTINGS, "images", *NUMBERS)}
            note = REFERENCE if not number else NO_REFERENCE if key not in tables[0].index else notes[number][key[0]]
            if number and note in ("", BY_NAME):
                found = differences[number - 1].get(key)
                row |= found or {}
                note = note if found else "no number"
            rows.append(row | {"note": note})
    table = pd.DataFrame(rows, columns=[*MODEL, "run", *SETTINGS, "images", *NUMBERS, *PAIRED, "note"])
    return table.astype(dict.fromkeys(COUNTS, "Int64"))


def same_images(first: ComparedRun, other: ComparedRun, dataset: str) -> tuple[set[str], str]:
    """The images of a data set that both runs have, as far as names and pixels say, and the note on it ("": none)."""
    names = [set(run.certificates.loc[run.certificates["dataset"] == dataset, "image"]) for run in (first, other)]
    common = names[0] & names[1]
    if not common:
        return set(), "no image in common"
    digests = [run.images.get(dataset) for run in (first, other)]
    if digests[0] is None or digests[1] is None:
        return common, BY_NAME
    same = {image for image in common if digests[0].get(image) == digests[1].get(image)}
    return same, "" if same else "other pixels"


def _pairing_notes(first: ComparedRun, other: ComparedRun) -> dict[str, str]:
    return {dataset: same_images(first, other, dataset)[1] for dataset in other.certificates["dataset"].unique()}


def _differences(first: ComparedRun, other: ComparedRun) -> dict[tuple[Any, ...], dict[str, float]]:
    """Certified Dice of `other` less that of `first` on the images that are the same, by row of the main table."""
    sides = []
    for run in (first, other):
        rows = run.certificates.dropna(subset="certified_dice")
        images = {dataset: same_images(first, other, dataset)[0] for dataset in rows["dataset"].unique()}
        pairs = zip(rows["dataset"], rows["image"], strict=True)
        sides.append(rows[np.array([image in images[dataset] for dataset, image in pairs], dtype=bool)])
    compared = compare_numbers(sides[0], sides[1], MODEL, ["certified_dice"]).table.rename(
        columns={"images": "paired_images"}
    )
    compared = compared[compared["paired_images"] > 0]
    return {
        tuple(row[name] for name in MODEL): {name: row[name] for name in PAIRED} for row in compared.to_dict("records")
    }


def _in_order(keys: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Keys, each once: names in the order in which the runs bring them, noise levels rising."""
    ranks = [list(dict.fromkeys(values)) for values in zip(*keys, strict=True)][:-1]
    return sorted(
        dict.fromkeys(keys),
        key=lambda key: (*(rank.index(name) for rank, name in zip(ranks, key[:-1], strict=True)), key[-1]),
    )


# Okabe and Ito's palette without yellow, which no white paper shows; black and purple make it eight.
RUN_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7B3294")
MOST_COLUMNS = 4
SPREAD = 0.012  # of the width of a panel: runs stand side by side, so that equal numbers do not hide each other


def compare_figure(table: pd.DataFrame) -> Figure:
    """From the table of a comparison: a panel per data set and pairing, with a colour and a marker for each run."""
    runs = list(dict.fromkeys(table["run"]))
    there = table[table["note"] != MISSING]
    panels = list(there.groupby(["dataset", "model", "regime", "denoiser"], sort=False))
    columns = min(MOST_COLUMNS, max(2, len(panels)))
    rows = -(-len(panels) // columns)
    with mpl.rc_context({"text.parse_math": False}):  # a name with two dollar signs is no formula
        figure = Figure(figsize=(2.9 * columns, 2.7 * rows + 0.4 + 0.2 * len(runs)))
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
        step = SPREAD * max(float(np.ptp(there["sigma"])), 0.1)
        for panel, ((dataset, model, regime, denoiser), chosen) in zip(axes.flat, panels, strict=False):
            for number, run in enumerate(runs):
                group = chosen[chosen["run"] == run]
                panel.errorbar(
                    group["sigma"] + step * (number - (len(runs) - 1) / 2), group["certified_dice"],
                    yerr=error_bars(group, "certified_dice"), capsize=2, markersize=5, linewidth=1,
                    color=RUN_COLORS[number], marker=MODEL_MARKERS[number], label=run,
                )  # fmt: skip
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
