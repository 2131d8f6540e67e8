# in:  results/<run>/{certificates,intervals,budget,radii,attacks}.parquet,
#      results/<run>/{denoiser_scores,costs}/<dataset>.csv, the models' history.csv
# out: reports/<run>/tables/{main,classes,pairings,measurements,attacks,denoisers,budget,radii,claims,costs}.csv,
#      and all of these except budget as .tex, for papers
#      figures/{headline,certified_dice,radius,area,budget,denoisers,training,costs}.{svg,png}, most also as .pdf
#      data.html, tables/data_<dataset>.json, figures/data_<dataset>_{contact.png,intensity.svg,areas.svg}: about the data


rule tables:
    input:
        **with_records(
            **COLLECTED,
            scores=of_each_dataset(SCORES) if ASKED.diffusion else [],
            costs=of_each_dataset(COSTS),
        ),
    output:
        **named_with_record(
            **{name: table(name) for name in IN_CSV},
            latex=[latex(name) for name in IN_LATEX],
        ),
    log:
        logs(f"{RUN}/tables"),
    benchmark:
        benchmarks(f"{RUN}/tables")
    conda:
        software("report")
    resources:
        **needs(),
    params:
        **tracked("tables"),
        titles=ASKED.titles(),
        template=templates("table.tex.j2"),
    script:
        "../scripts/tables.py"


rule curves:
    input:
        **with_records(
            **{DRAWN[name].table: f"{TABLES}/{DRAWN[name].table}.csv" for name in CURVES if DRAWN[name].table},
            segmenters=ASKED.histories()[0],
            denoiser_histories=ASKED.histories()[1],
        ),
    output:
        **named_with_record(
            headline=picture("headline"),
            **{name: figure(name) for name in CURVES},
        ),
    log:
        logs(f"{RUN}/curves"),
    benchmark:
        benchmarks(f"{RUN}/curves")
    conda:
        software("report")
    resources:
        **needs(),
    params:
        **tracked("curves"),
        segmenters=ASKED.learned_segmenters,
        denoisers=ASKED.learned_denoisers,
    script:
        "../scripts/curves.py"


rule look_at_data:
    input:
        **with_records(prepared=PREPARED_FILES),
    output:
        **named_with_record(
            summary=DATA_SUMMARY,
            contact=data_figure("contact.png", "images and masks"),
            intensity=data_figure("intensity.svg", "gray levels"),
            areas=data_figure("areas.svg", "areas of the structures"),
        ),
    log:
        logs(f"{RUN}/look_at_data/{{dataset}}"),
    benchmark:
        benchmarks(f"{RUN}/look_at_data/{{dataset}}")
    conda:
        software("report")
    resources:
        **needs(4000),
    params:
        **tracked("look_at_data"),
    script:
        "../scripts/look_at_data.py"


rule data_page:
    input:
        **with_records(
            summaries=of_each_dataset(DATA_SUMMARY),
            contacts=of_each_dataset(f"{FIGURES}/data_{{dataset}}_contact.png"),
            intensities=of_each_dataset(f"{FIGURES}/data_{{dataset}}_intensity.svg"),
            areas=of_each_dataset(f"{FIGURES}/data_{{dataset}}_areas.svg"),
            manifests=MANIFESTS,
        ),
    output:
        *with_record(whole_page(DATA_PAGE, "data", "data_page")),
    log:
        logs(f"{RUN}/data_page"),
    benchmark:
        benchmarks(f"{RUN}/data_page")
    conda:
        software("report")
    resources:
        **needs(),
    params:
        **tracked("data_page"),
        run=RUN,
        template=templates("base.html.j2", "notices.html.j2", "data.html.j2"),
    script:
        "../scripts/data_page.py"
