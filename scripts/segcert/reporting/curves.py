"""Certified Dice and abstention against sigma, and against the number of draws."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segcert.reporting.style import LINES, describe


def certified_dice_figure(table: pd.DataFrame) -> Figure:
    """From the main table: a row of two panels per data set, certified Dice and abstention, with 95% intervals."""
    datasets = list(table["dataset"].unique())
    figure = Figure(figsize=(7.2, 3.0 * len(datasets) + 0.5))
    axes = np.atleast_2d(figure.subplots(len(datasets), 2, squeeze=False))
    for row, dataset in zip(axes, datasets, strict=True):
        of_dataset = table[table["dataset"] == dataset]
        for panel, metric, title in zip(
            row, ("certified_dice", "abstain"), ("certified Dice", "share of pixels that abstain"), strict=True
        ):
            _panel(panel, of_dataset, metric)
            panel.set(title=f"{dataset}: {title}", xlabel="sigma (pixels in [0, 1])", ylim=(-0.02, 1.02))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def budget_figure(table: pd.DataFrame) -> Figure:
    """From the forecast of budgets: a panel per data set and sigma, certified Dice against the number of draws."""
    panels = table[["dataset", "sigma"]].drop_duplicates().to_dict("records")
    columns = table["sigma"].nunique()
    rows = table["dataset"].nunique()
    figure = Figure(figsize=(max(3.6, 2.6 * columns), 2.6 * rows + 0.6))
    axes = np.atleast_2d(figure.subplots(rows, columns, squeeze=False, sharey=True))
    draws = sorted(table["draws"].unique())
    for panel, about in zip(axes.flat, panels, strict=True):
        chosen = table[(table["dataset"] == about["dataset"]) & (table["sigma"] == about["sigma"])]
        for key, of_model in chosen.groupby(["model", "regime", "denoiser"], sort=False):
            model, regime, denoiser = map(str, key)
            label = describe(model, regime, denoiser)
            panel.plot(of_model["draws"], of_model["certified_dice"], label=label, **LINES[regime, denoiser])
        panel.set(title=f"{about['dataset']}, sigma {about['sigma']:g}", xscale="log", xlabel="draws, n0 + n")
        panel.set_ylim(-0.02, 1.02)
        panel.set_xticks(draws, [str(number) for number in draws], rotation=45)
        panel.minorticks_off()
        panel.grid(axis="y", alpha=0.3)
    axes[0, 0].set_ylabel("certified Dice (forecast)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _panel(axes: Axes, table: pd.DataFrame, metric: str) -> None:
    sigmas = sorted(table["sigma"].unique())
    for key, rows in table.groupby(["model", "regime", "denoiser"], sort=False):
        model, regime, denoiser = map(str, key)
        group = rows.sort_values("sigma")
        low, high = group[metric] - group[f"{metric}_low"], group[f"{metric}_high"] - group[metric]
        axes.errorbar(
            group["sigma"], group[metric], yerr=np.nan_to_num([low, high]).clip(min=0),
            label=describe(model, regime, denoiser), capsize=2, **LINES[regime, denoiser],
        )  # fmt: skip
    axes.set_xticks(sigmas, [f"{sigma:g}" for sigma in sigmas])
    axes.grid(axis="y", alpha=0.3)
