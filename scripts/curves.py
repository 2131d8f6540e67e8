from segcert.provenance.recording import recorded
from segcert.report.captions import FIGURES as LISTED
from segcert.report.figures import FIGURES, overview_figure, read_histories
from segcert.report.style import PAGE, by_dataset, save_figure, save_for_page_and_paper
from segcert.results.tables import read_table


def training(files, params):
    """Return the source of the figure `training`, and its part for each data set."""
    histories = read_histories(
        dict(zip(params.segmenters, files.segmenters, strict=True)),
        dict(zip(params.denoisers, files.denoiser_histories, strict=True)),
    )
    return histories, [{dataset: of_dataset} for dataset, of_dataset in histories.items()]


with recorded(snakemake):
    files, figures = snakemake.input, snakemake.output
    main = read_table(files.main)
    first = main[main["model"] == main["model"].iloc[0]]
    save_figure(overview_figure(first, PAGE), *figures.headline)
    for name, draw in FIGURES.items():
        paths = figures.get(name)
        if not paths:  # a figure without data is not drawn
            continue
        if name == "training":
            whole, parts = training(files, snakemake.params)
        else:
            whole = read_table(files[LISTED[name].table])
            parts = by_dataset(whole)
        save_for_page_and_paper(draw, whole, parts, paths)
