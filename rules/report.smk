# in:  results/<run>/{certificates,intervals,budget,radii,attacks}.parquet,
#      results/<run>/{denoiser_scores,costs}/<dataset>.csv, history.csv of the models
# out: reports/<run>/tables/{main,classes,pairings,measurements,attacks,denoisers,budget,radii,claims,costs}.csv,
#      all but budget as .tex too: for papers
#      figures/{headline,certified_dice,radius,area,budget,denoisers,training,costs}.{svg,png}, most of them .pdf too
#      data.html, tables/data_<dataset>.json, figures/data_<dataset>_{contact.png,intensity.svg,areas.svg}: of the data alone

LEARNED_SEGMENTERS = [
    {"dataset": dataset, "model": model, "regime": regime}
    for dataset, (model, regime) in product(CONFIG.datasets, TRAINED)
]
LEARNED_DENOISERS = [
    {"dataset": dataset, "source": source} for dataset, source in TRAINED_DENOISERS.items() if "ddpm" in DIFFUSION
]
LEARNED = LEARNED_SEGMENTERS + LEARNED_DENOISERS
# Figures that have nothing to show are left out.
WITHOUT = {name for name, there in {"denoisers": DIFFUSION, "training": LEARNED}.items() if not there}
CURVES = [name for name in PRINTED if name not in WITHOUT]
SCORES = expand(rules.score_denoisers.output[0], dataset=CONFIG.datasets) if DIFFUSION else []
MANIFESTS = expand(MANIFEST, dataset=[*RELEASES, *OWN_FOLDERS])


def weights():
    """The files of all models of the run."""
    files = []
    for dataset in CONFIG.datasets:
        for model, regime, denoiser in PAIRINGS:
            segmenter, _ = segmenter_files(model)
            files += [segmenter.format(dataset=dataset, model=model, regime=regime)]
            files += denoiser_files(dataset, denoiser)[:1]
    return list(dict.fromkeys(files))


def models():
    """Every file of all models of the run."""
    segmenters = [
        path.format(dataset=dataset, model=model, regime=regime)
        for dataset, (model, regime) in product(CONFIG.datasets, MODELS)
        for path in (
            *segmenter_files(model),
            *([f"{SEGMENTER}/last.safetensors", f"{SEGMENTER}/history.csv"] if (model, regime) in TRAINED else []),
        )
    ]
    denoisers = [
        path for dataset, denoiser in product(CONFIG.datasets, DIFFUSION) for path in denoiser_files(dataset, denoiser)
    ]
    learned = [
        f"{DENOISER.format(**each)}/{name}"
        for each in LEARNED_DENOISERS
        for name in ("last.safetensors", "history.csv")
    ]
    return list(dict.fromkeys([*segmenters, *denoisers, *learned]))


def made_before_the_report():
    """An output of every job up to the collection of the certificates: what has a run record."""
    return [
        *MANIFESTS,
        *expand(INDEX, dataset=CONFIG.datasets),
        *weights(),
        *cards(),
        *(
            path
            for dataset in CONFIG.datasets
            for path in grid(f"{VOTES}/shard_{{shard}}.npz", [dataset], shard=range(SHARDS[dataset]))
        ),
        *grid(rules.predict.output[0]),
        *expand(rules.denoise_examples.output[0], dataset=CONFIG.datasets, denoiser=PICTURED),
        *SCORES,
        *expand(rules.measure_costs.output.costs, dataset=CONFIG.datasets),
        *grid(rules.certify.output.labels[0]),
        *(grid(rules.attack.output[0]) if CONFIG.attack.images else []),
        TABLE,
    ]


def in_report(kind, name, suffix):
    """A table or a figure with its caption, place and labels in Snakemake's own report."""
    return report(
        f"{REPORT}/{kind}s/{name}.{suffix}",
        caption=f"../reports/captions/{name}.rst",
        category=f"{kind.title()}s",
        subcategory=FIGURES[name].place if name in FIGURES else "Certificates",
        labels={kind: name.replace("_", " "), "format": suffix.upper()},
    )


def table(name, suffix="csv"):
    """A table of the report."""
    return in_report("table", name, suffix)


def figure(name):
    """A figure of the report, for the page (SVG), for slides (PNG) and for a column of a paper (PDF)."""
    pdf = report(
        f"{REPORT}/figures/{name}.pdf",
        caption=f"../reports/captions/{name}.rst",
        category="Paper",
        subcategory="Figures",
        labels={"figure": name.replace("_", " "), "format": "PDF"},
    )
    return [*picture(name), pdf]


def picture(name):
    """A figure of the page alone."""
    return [in_report("figure", name, "svg"), f"{REPORT}/figures/{name}.png"]


def whole_page(path, title, caption):
    """A page of the report, which opens as it is."""
    return report(
        path,
        caption=f"../reports/captions/{caption}.rst",
        category="Report",
        labels={"page": title, "format": "HTML"},
    )


def latex(name):
    """A table of the report in LaTeX."""
    return report(
        f"{REPORT}/tables/{name}.tex",
        caption="../reports/captions/latex.rst",
        category="Paper",
        subcategory="Tables",
        labels={"table": name, "format": "LaTeX"},
    )


TITLES = {
    name: about.title if not about.synthetic or "synthetic" in about.title.lower() else f"{about.title} (synthetic)"
    for name, about in ABOUT.items()
}


rule tables:
    input:
        **COLLECTED,
        scores=SCORES,
        costs=expand(rules.measure_costs.output.costs, dataset=CONFIG.datasets),
    output:
        **{name: table(name) for name in IN_CSV},
        latex=[latex(name) for name in IN_LATEX],
    log:
        f"logs/{RUN}/tables.log",
    benchmark:
        f"logs/{RUN}/tables.tsv"
    conda:
        software("report")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        resamples=CONFIG.report.bootstrap,
        titles=TITLES,
        template=templates("table.tex.j2"),
        code=code("tables"),
        environment=environment("tables"),
    script:
        "../scripts/tables.py"


rule curves:
    input:
        **{each.table: f"{REPORT}/tables/{each.table}.csv" for each in map(FIGURES.get, CURVES) if each.table},
        segmenters=[f"{SEGMENTER.format(**each)}/history.csv" for each in LEARNED_SEGMENTERS],
        denoiser_histories=[f"{DENOISER.format(**each)}/history.csv" for each in LEARNED_DENOISERS],
    output:
        **{name: figure(name) for name in CURVES},
        headline=picture("headline"),
    log:
        f"logs/{RUN}/curves.log",
    benchmark:
        f"logs/{RUN}/curves.tsv"
    conda:
        software("report")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        segmenters=[tuple(each.values()) for each in LEARNED_SEGMENTERS],
        denoisers=[tuple(each.values()) for each in LEARNED_DENOISERS],
        code=code("curves"),
        environment=environment("curves"),
    script:
        "../scripts/curves.py"


DATA_FIGURES = {"contact": "images and masks", "intensity": "gray levels", "areas": "areas of the structures"}


def data_figure(name, suffix):
    """A figure of a data set."""
    return report(
        f"{REPORT}/figures/data_{{dataset}}_{name}.{suffix}",
        caption=f"../reports/captions/data_{name}.rst",
        category="Data",
        subcategory="{dataset}",
        labels={"figure": DATA_FIGURES[name], "format": suffix.upper()},
    )


rule look_at_data:
    input:
        PREPARED_FILES,
    output:
        summary=f"{REPORT}/tables/data_{{dataset}}.json",
        contact=data_figure("contact", "png"),
        intensity=data_figure("intensity", "svg"),
        areas=data_figure("areas", "svg"),
    log:
        f"logs/{RUN}/look_at_data/{{dataset}}.log",
    benchmark:
        f"logs/{RUN}/look_at_data/{{dataset}}.tsv"
    conda:
        software("report")
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=15,
    params:
        code=code("look_at_data"),
        environment=environment("look_at_data"),
    script:
        "../scripts/look_at_data.py"


rule data_page:
    input:
        summaries=expand(rules.look_at_data.output.summary, dataset=CONFIG.datasets),
        contacts=expand(rules.look_at_data.output.contact, dataset=CONFIG.datasets),
        intensities=expand(rules.look_at_data.output.intensity, dataset=CONFIG.datasets),
        areas=expand(rules.look_at_data.output.areas, dataset=CONFIG.datasets),
        manifests=MANIFESTS,
    output:
        whole_page(f"{REPORT}/data.html", "data", "data_page"),
    log:
        f"logs/{RUN}/data_page.log",
    benchmark:
        f"logs/{RUN}/data_page.tsv"
    conda:
        software("report")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        run=RUN,
        template=templates("base.html.j2", "notices.html.j2", "data.html.j2"),
        code=code("data_page"),
        environment=environment("data_page"),
    script:
        "../scripts/data_page.py"
