"""The first figure of the page: certified Dice against sigma, a panel per data set."""

import math

import pandas as pd
from matplotlib.figure import Figure

from segcert.reporting.curves import draw_metric
from segcert.reporting.style import shared_legend

COLUMNS = 3


def headline_figure(table: pd.DataFrame) -> Figure:
    """From the main table: certified Dice of the first model with 95% intervals, a panel per data set."""
    datasets, model = list(table["dataset"].unique()), table["model"].iloc[0]
    columns = min(COLUMNS, len(datasets))
    rows = math.ceil(len(datasets) / columns)
    figure = Figure(figsize=(max(7.2, 3.3 * columns), 2.4 * rows + 0.7))
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for panel, dataset in zip(axes.flat, datasets, strict=False):
        draw_metric(panel, table[(table["dataset"] == dataset) & (table["model"] == model)], "certified_dice")
        panel.set(title=f"{dataset}, {model}", xlabel="sigma (pixels in [0, 1])", ylim=(-0.02, 1.02))
    for panel in axes[:, 0]:
        panel.set_ylabel("certified Dice")
    for panel in axes.flat[len(datasets) :]:
        panel.remove()
    shared_legend(figure)
    return figure
