"""PSNR and SSIM of denoised images against sigma."""

import pandas as pd
from matplotlib.figure import Figure

from segcert.reporting.layout import PAGE, Layout
from segcert.reporting.style import shared_legend

LINES = {
    "noisy": {"color": "#A3ACB5", "linestyle": ":", "marker": "x", "label": "noisy, as it is"},
    "nl_means": {"color": "#E69F00", "linestyle": "--", "marker": "^", "label": "non-local means"},
    "wavelet": {"color": "#009E73", "linestyle": "--", "marker": "s", "label": "wavelets (BayesShrink)"},
    "ddpm": {"color": "#0072B2", "linestyle": "-", "marker": "o", "label": "the denoiser"},
    "adm256": {"color": "#7B3294", "linestyle": "-.", "marker": "D", "label": "adm256"},
}
SCORES = {"psnr": "PSNR (dB)", "ssim": "SSIM"}


def denoiser_figure(table: pd.DataFrame, layout: Layout = PAGE) -> Figure:
    """From the scores of the denoisers: a row of two panels per data set, PSNR and SSIM, a line per method."""
    datasets = list(table["dataset"].unique())
    methods = table["method"].nunique()
    figure = layout.figure(7.2, 2.8 * len(datasets) + 0.5, len(datasets), methods)
    axes = figure.subplots(len(datasets), len(SCORES), squeeze=False)
    sigmas = sorted(table["sigma"].unique())
    for row, dataset in zip(axes, datasets, strict=True):
        of_dataset = table[table["dataset"] == dataset].sort_values("sigma")
        for panel, (score, name) in zip(row, SCORES.items(), strict=True):
            for method, scores in of_dataset.groupby("method", sort=False):
                panel.plot(scores["sigma"], scores[score], **LINES[str(method)])
            panel.set(title=dataset, xlabel="sigma (pixels in [0, 1])", ylabel=name)
            panel.set_xticks(sigmas, [f"{sigma:g}" for sigma in sigmas])
            panel.grid(axis="y", alpha=0.3)
    shared_legend(figure, width=2.4)
    return figure
