from segcert.provenance.recording import recorded
from segcert.report.captions import FIGURES as LISTED
from segcert.report.figures import FIGURES, overview_figure, read_histories
from segcert.report.style import PAGE, by_dataset, save_figure, save_for_page_and_paper
from segcert.results.tables import read_table

with recorded(snakemake):
    files, figures, params = snakemake.input, snakemake.output, snakemake.params
    main = read_table(files.main)
    first = main[main["model"] == main["model"].iloc[0]]
    save_figure(overview_figure(first, PAGE), *figures.headline)
    for name, draw in FIGURES.items():
        paths = figures.get(name)
        if not paths:  # figures without data are left out
            continue
        if name == "training":
            segmenters = dict(zip(params.segmenters, files.segmenters, strict=True))
            denoisers = dict(zip(params.denoisers, files.denoiser_histories, strict=True))
            whole = read_histories(segmenters, denoisers)
        else:
            whole = read_table(files[LISTED[name].table])
        save_for_page_and_paper(draw, whole, by_dataset(whole), paths)
