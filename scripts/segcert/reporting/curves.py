"""Certified Dice and abstention against sigma, and against the number of draws."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segcert.reporting.style import line, shared_legend

METRICS = {"certified_dice": "certified Dice", "abstain": "share of pixels that abstain"}


def certified_dice_figure(table: pd.DataFrame) -> Figure:
    """From the main table: certified Dice and abstention with 95% intervals, a panel each per data set and model.

    One model: a row per data set. Several: two rows per data set, a column per model.
    """
    models = list(table["model"].unique())
    panels = list(itertools.product(table["dataset"].unique(), METRICS, models))
    columns = max(2, len(models))
    rows = len(panels) // columns
    figure = Figure(figsize=(3.6 * columns, 3.0 * rows + 0.5))
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel, (dataset, metric, model) in zip(axes.flat, panels, strict=True):
        draw_metric(panel, table[(table["dataset"] == dataset) & (table["model"] == model)], metric)
        panel.set(title=f"{dataset}, {model}", ylabel=METRICS[metric], xlabel="sigma (pixels in [0, 1])")
        panel.set_ylim(-0.02, 1.02)
    shared_legend(figure)
    return figure


def budget_figure(table: pd.DataFrame) -> Figure:
    """From the forecast of budgets: certified Dice against the number of draws, by the method of the run.

    A column per sigma, a row per data set and model.
    """
    table = table[table["method"] == table["method"].iloc[0]]
    sigmas = list(table["sigma"].unique())
    rows = list(itertools.product(table["dataset"].unique(), table["model"].unique()))
    figure = Figure(figsize=(max(3.6, 2.6 * len(sigmas)), 2.6 * len(rows) + 0.6))
    axes = figure.subplots(len(rows), len(sigmas), squeeze=False, sharey=True)
    draws = sorted(table["draws"].unique())
    for panel, ((dataset, model), sigma) in zip(axes.flat, itertools.product(rows, sigmas), strict=True):
        chosen = table[(table["dataset"] == dataset) & (table["model"] == model) & (table["sigma"] == sigma)]
        for (regime, denoiser), pairing in chosen.groupby(["regime", "denoiser"], sort=False):
            panel.plot(pairing["draws"], pairing["certified_dice"], **line(str(regime), str(denoiser)))
        panel.set(title=f"{dataset}, {model}, sigma {sigma:g}", xscale="log", xlabel="draws, n0 + n")
        panel.set_ylim(-0.02, 1.02)
        panel.set_xticks(draws, [str(number) for number in draws], rotation=45)
        panel.minorticks_off()
        panel.grid(axis="y", alpha=0.3)
    for panel in axes[:, 0]:
        panel.set_ylabel("certified Dice (forecast)")
    shared_legend(figure)
    return figure


def draw_metric(axes: Axes, table: pd.DataFrame, metric: str) -> None:
    sigmas = sorted(table["sigma"].unique())
    for (regime, denoiser), rows in table.groupby(["regime", "denoiser"], sort=False):
        group = rows.sort_values("sigma")
        low, high = group[metric] - group[f"{metric}_low"], group[f"{metric}_high"] - group[metric]
        axes.errorbar(
            group["sigma"], group[metric], yerr=np.nan_to_num([low, high]).clip(min=0),
            capsize=2, **line(str(regime), str(denoiser)),
        )  # fmt: skip
    axes.set_xticks(sigmas, [f"{sigma:g}" for sigma in sigmas])
    axes.grid(axis="y", alpha=0.3)
