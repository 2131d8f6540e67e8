"""How the networks of a run learned: loss and validation score against the step."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from segcert.reporting.layout import PAGE, Layout
from segcert.reporting.style import MODEL_DASHES, shared_legend
from segcert.reporting.wording import TRAINED

COLORS = {"clean": "#D55E00", "noise": "#009E73", "denoised": "#E69F00"}


class Histories(NamedTuple):
    """The rows of history.csv of the networks that were trained on a data set.

    segmenters: by (model, regime). denoisers: by the data set or data sets that they were trained on.
    """

    segmenters: Mapping[tuple[str, str], pd.DataFrame]
    denoisers: Mapping[str, pd.DataFrame]


def read_histories(
    segmenters: Mapping[tuple[str, str, str], str | Path], denoisers: Mapping[tuple[str, str], str | Path]
) -> dict[str, Histories]:
    """Histories by data set, from the history.csv of each (data set, model, regime) and (data set, source)."""
    datasets = dict.fromkeys(dataset for dataset, *_ in (*segmenters, *denoisers))
    return {
        dataset: Histories(
            {(model, regime): pd.read_csv(path) for (of, model, regime), path in segmenters.items() if of == dataset},
            {source: pd.read_csv(path) for (of, source), path in denoisers.items() if of == dataset},
        )
        for dataset in datasets
    }


def training_figure(histories: Mapping[str, Histories], layout: Layout = PAGE) -> Figure:
    """A row per data set: loss and Dice of its segmenters, loss and PSNR of its denoiser; dots: the best validations.

    A kind of network of which none was trained is left out. In print each kind has a row of its own.
    """
    learned = [kind for kind in Histories._fields if any(getattr(each, kind) for each in histories.values())]
    rows, columns = len(histories), 2 * len(learned)
    if layout.narrow:
        rows, columns = rows * len(learned), 2
    entries = max(len(each.segmenters) + len(each.denoisers) for each in histories.values())
    figure = layout.figure(2.7 * columns, 2.5 * rows + 0.6, rows, entries)
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, (dataset, of_dataset) in zip(axes.reshape(len(histories), -1), histories.items(), strict=True):
        row[0].set_title(dataset, loc="left")
        for panels, kind in zip(row.reshape(-1, 2), learned, strict=True):
            if kind == "segmenters":
                _segmenters(list(panels), of_dataset.segmenters)
            else:
                _denoisers(list(panels), of_dataset.denoisers)
    for panel in figure.axes:
        panel.set_ylabel(layout.label(panel.get_ylabel()))
    shared_legend(figure)
    return figure


def _segmenters(panels: Sequence[Axes], histories: Mapping[tuple[str, str], pd.DataFrame]) -> None:
    models = list(dict.fromkeys(model for model, _ in histories))
    for (model, regime), history in histories.items():
        dashes = MODEL_DASHES[models.index(model) % len(MODEL_DASHES)]
        _draw(panels, history, "val_dice", COLORS[regime], dashes, f"{model}, trained {TRAINED[regime]}")
    panels[0].set_ylabel("segmenter: training loss")
    panels[1].set_ylabel("segmenter: validation Dice")


def _denoisers(panels: Sequence[Axes], histories: Mapping[str, pd.DataFrame]) -> None:
    for source, history in histories.items():
        _draw(panels, history, "val_psnr", "#0072B2", "-", f"denoiser of {source.replace('+', ' and ')}")
    panels[0].set(ylabel="denoiser: training loss", yscale="log")
    panels[0].yaxis.set_major_formatter("{x:g}")  # powers of ten are formulas, of which figures have none
    panels[0].yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False))
    panels[1].set_ylabel("denoiser: validation PSNR (dB)")


def _draw(panels: Sequence[Axes], history: pd.DataFrame, score: str, color: str, dashes: str, label: str) -> None:
    best = history.iloc[int(history[score].fillna(-math.inf).to_numpy().argmax())]
    for panel, column in zip(panels, ("train_loss", score), strict=True):
        panel.plot(history["step"], history[column], color=color, linestyle=dashes, label=label)
        panel.plot(best["step"], best[column], color=color, marker="o", markersize=4)
        panel.set_xlabel("step")
        panel.grid(axis="y", alpha=0.3)
