import pandas as pd

from segcert.provenance.records import recorded
from segcert.reporting.curves import budget_figure, certified_dice_figure
from segcert.reporting.denoiser_curves import denoiser_figure
from segcert.reporting.layout import by_dataset, save_for_page_and_paper
from segcert.reporting.training_curves import read_histories, training_figure

with recorded(snakemake):
    files, figures = snakemake.input, snakemake.output
    tables = {name: pd.read_csv(files[name]) for name in ("main", "budget", "denoisers")}
    save_for_page_and_paper(certified_dice_figure, tables["main"], by_dataset(tables["main"]), figures.dice)
    save_for_page_and_paper(budget_figure, tables["budget"], by_dataset(tables["budget"]), figures.budget)
    if figures.denoisers:
        scores = tables["denoisers"]
        save_for_page_and_paper(denoiser_figure, scores, by_dataset(scores), figures.denoisers)
    if figures.training:
        histories = read_histories(
            dict(zip(snakemake.params.segmenters, files.segmenters, strict=True)),
            dict(zip(snakemake.params.denoisers, files.denoiser_histories, strict=True)),
        )
        parts = [{dataset: of_dataset} for dataset, of_dataset in histories.items()]
        save_for_page_and_paper(training_figure, histories, parts, figures.training)
