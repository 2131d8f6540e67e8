from segcert.provenance.recording import recorded
from segcert.report.figures import (
    area_figure,
    budget_figure,
    certified_dice_figure,
    cost_figure,
    denoiser_figure,
    overview_figure,
    radius_figure,
    read_histories,
    training_figure,
)
from segcert.report.style import PAGE, by_dataset, save_figure, save_for_page_and_paper
from segcert.results.tables import read_table

with recorded(snakemake):
    files, figures = snakemake.input, snakemake.output
    tables = {name: read_table(files[name]) for name in ("main", "radii", "budget", "denoisers", "costs")}
    main = tables["main"]
    first = main[main["model"] == main["model"].iloc[0]]
    save_figure(overview_figure(first, PAGE), *figures.headline)
    for draw, table, paths in (
        (certified_dice_figure, "main", figures.dice),
        (radius_figure, "radii", figures.radius),
        (area_figure, "budget", figures.area),
        (budget_figure, "budget", figures.budget),
        (cost_figure, "costs", figures.costs),
        (denoiser_figure, "denoisers", figures.denoisers),
    ):
        if paths:
            save_for_page_and_paper(draw, tables[table], by_dataset(tables[table]), paths)
    if figures.training:
        histories = read_histories(
            dict(zip(snakemake.params.segmenters, files.segmenters, strict=True)),
            dict(zip(snakemake.params.denoisers, files.denoiser_histories, strict=True)),
        )
        parts = [{dataset: of_dataset} for dataset, of_dataset in histories.items()]
        save_for_page_and_paper(training_figure, histories, parts, figures.training)
