"""Certified Dice of several runs against sigma."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from segcert.reporting.compare_table import MISSING
from segcert.reporting.style import MODEL_MARKERS, shared_legend
from segcert.reporting.tables import error_bars
from segcert.reporting.wording import BEHIND, TRAINED

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
