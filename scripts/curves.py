import pandas as pd

from segcert.provenance.records import recorded
from segcert.reporting.area_curves import area_figure
from segcert.reporting.curves import budget_figure, certified_dice_figure
from segcert.reporting.denoiser_curves import denoiser_figure
from segcert.reporting.radius_curves import radius_figure
from segcert.reporting.style import save_figure
from segcert.reporting.training_curves import read_histories, training_figure

with recorded(snakemake):
    files, figures = snakemake.input, snakemake.output
    save_figure(certified_dice_figure(pd.read_csv(files.main)), *figures.dice)
    save_figure(radius_figure(pd.read_csv(files.radii)), *figures.radius)
    save_figure(budget_figure(pd.read_csv(files.budget)), *figures.budget)
    save_figure(area_figure(pd.read_csv(files.budget)), *figures.area)
    if figures.denoisers:
        save_figure(denoiser_figure(pd.read_csv(files.denoisers)), *figures.denoisers)
    if figures.training:
        histories = read_histories(
            dict(zip(snakemake.params.segmenters, files.segmenters, strict=True)),
            dict(zip(snakemake.params.denoisers, files.denoiser_histories, strict=True)),
        )
        save_figure(training_figure(histories), *figures.training)
