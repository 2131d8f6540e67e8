# in:  results/<run>/{certificates,intervals,budget,attacks}.parquet, certificates, predictions, denoised examples,
#      results/<run>/{denoiser_scores,costs}/<dataset>.csv, history.csv of the models
# out: reports/<run>/index.html, tables/{main,classes,pairings,measurements,attacks,denoisers,budget,costs}.csv,
#      figures/{certified_dice,budget,denoisers,training,costs}.{svg,png,pdf}, figures/gallery_<dataset>.{png,txt},
#      figures/example_<dataset>.{png,txt}: one example, for the summary (rules/paper.smk)
#      data.html, tables/data_<dataset>.json, figures/data_<dataset>_{contact.png,intensity.svg,areas.svg}: of the data alone

from itertools import product

LEARNED_SEGMENTERS = [
    {"dataset": dataset, "model": model, "regime": regime}
    for dataset, (model, regime) in product(CONFIG.datasets, TRAINED)
]
LEARNED_DENOISERS = [
    {"dataset": dataset, "source": source} for dataset, source in TRAINED_DENOISERS.items() if "ddpm" in DIFFUSION
]
LEARNED = LEARNED_SEGMENTERS + LEARNED_DENOISERS
CURVES = [
    *("certified_dice", "budget", "costs"),
    *(["denoisers"] if DIFFUSION else []),
    *(["training"] if LEARNED else []),
]
SCORES = expand(rules.score_denoisers.output[0], dataset=CONFIG.datasets) if DIFFUSION else []
SHOWN = [pairing for pairing in PAIRINGS if pairing[0] == CONFIG.models[0]]  # in the gallery
PAPER = [f"{REPORT}/tables/main.tex", f"{REPORT}/summary.pdf"]  # an output of each rule of rules/paper.smk
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


def recorded_artifacts():
    """An output of every job of the run but the page: what has a run record."""
    return [
        *MANIFESTS,
        *expand(INDEX, dataset=CONFIG.datasets),
        *weights(),
        *cards(),
        *grid(f"{VOTES}/shard_{{shard}}.npz", shard=range(CONFIG.sampling.shards)),
        *grid(rules.predict.output[0]),
        *expand(rules.denoise_examples.output[0], dataset=CONFIG.datasets, denoiser=DIFFUSION, sigma=SIGMAS),
        *SCORES,
        *expand(rules.measure_costs.output.costs, dataset=CONFIG.datasets),
        *grid(f"{CERTIFICATES}.npz"),
        *(grid(rules.attack.output[0]) if CONFIG.attack.images else []),
        TABLE,
        rules.tables.output.main,
        rules.curves.output.dice[0],
        rules.costs.output.table,
        *expand(rules.gallery.output.picture, dataset=CONFIG.datasets),
        *expand(rules.look_at_data.output.summary, dataset=CONFIG.datasets),
        rules.data_page.output[0],
        *PAPER,
    ]


def table(name):
    """A table of the report, with its caption for Snakemake's own report."""
    return report(f"{REPORT}/tables/{name}.csv", caption=f"../reports/captions/{name}.rst", category="Tables")


def figure(name):
    """A figure of the report, for the page (SVG), for slides (PNG) and for a column of a paper (PDF)."""
    caption = f"../reports/captions/{name}.rst"
    svg = report(f"{REPORT}/figures/{name}.svg", caption=caption, category="Figures")
    labels = {"figure": name, "format": "PDF"}
    pdf = report(f"{REPORT}/figures/{name}.pdf", caption=caption, category="Paper", labels=labels)
    return [svg, f"{REPORT}/figures/{name}.png", pdf]


rule tables:
    input:
        metrics=TABLE,
        intervals=INTERVALS,
        attacks=ATTACKS,
        budget=BUDGET,
        scores=SCORES,
    output:
        main=table("main"),
        classes=table("classes"),
        pairings=table("pairings"),
        measurements=table("measurements"),
        attacks=table("attacks"),
        denoisers=table("denoisers"),
        budget=table("budget"),
    log:
        f"logs/{RUN}/tables.log",
    params:
        resamples=CONFIG.report.bootstrap,
        code=code("tables"),
        environment=environment("tables"),
    script:
        "../scripts/tables.py"


rule curves:
    input:
        main=rules.tables.output.main,
        budget=rules.tables.output.budget,
        denoisers=rules.tables.output.denoisers,
        segmenters=[f"{SEGMENTER.format(**each)}/history.csv" for each in LEARNED_SEGMENTERS],
        denoiser_histories=[f"{DENOISER.format(**each)}/history.csv" for each in LEARNED_DENOISERS],
    output:
        dice=figure("certified_dice"),
        budget=figure("budget"),
        denoisers=figure("denoisers") if DIFFUSION else [],
        training=figure("training") if LEARNED else [],
    log:
        f"logs/{RUN}/curves.log",
    params:
        segmenters=[tuple(each.values()) for each in LEARNED_SEGMENTERS],
        denoisers=[tuple(each.values()) for each in LEARNED_DENOISERS],
        code=code("curves"),
        environment=environment("curves"),
    script:
        "../scripts/curves.py"


rule costs:
    input:
        main=rules.tables.output.main,
        costs=expand(rules.measure_costs.output.costs, dataset=CONFIG.datasets),
    output:
        table=table("costs"),
        figure=figure("costs"),
    log:
        f"logs/{RUN}/costs.log",
    params:
        code=code("costs"),
        environment=environment("costs"),
    script:
        "../scripts/costs.py"


rule gallery:
    input:
        index=INDEX,
        predictions=[
            f"{RESULTS}/predictions/{{dataset}}/{model}-{regime}.npz"
            for model, regime in dict.fromkeys(pairing[:2] for pairing in SHOWN)
        ],
        denoised=expand(rules.denoise_examples.output[0], denoiser=DIFFUSION[:1], sigma=SIGMAS, allow_missing=True),
        certificates=[
            f"{RESULTS}/certificates/{{dataset}}/{model}-{regime}/{denoiser}/sigma_{sigma}.npz"
            for (model, regime, denoiser), sigma in product(SHOWN, SIGMAS)
        ],
    output:
        picture=report(
            f"{REPORT}/figures/gallery_{{dataset}}.png",
            caption="../reports/captions/gallery.rst",
            category="Figures",
            labels={"figure": "gallery", "data set": "{dataset}"},
        ),
        caption=f"{REPORT}/figures/gallery_{{dataset}}.txt",
        example=f"{REPORT}/figures/example_{{dataset}}.png",
        example_caption=f"{REPORT}/figures/example_{{dataset}}.txt",
    log:
        f"logs/{RUN}/gallery/{{dataset}}.log",
    params:
        models=list(dict.fromkeys(pairing[:2] for pairing in SHOWN)),
        denoised=SIGMAS if DIFFUSION else [],
        certificates=[(*pairing, sigma) for pairing, sigma in product(SHOWN, SIGMAS)],
        examples=CONFIG.report.examples,
        code=code("gallery"),
        environment=environment("gallery"),
    script:
        "../scripts/gallery.py"


def data_figure(name, suffix):
    """A figure of a data set."""
    return report(
        f"{REPORT}/figures/data_{{dataset}}_{name}.{suffix}",
        caption=f"../reports/captions/data_{name}.rst",
        category="Data",
        labels={"figure": name, "data set": "{dataset}"},
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
        report(f"{REPORT}/data.html", caption="../reports/captions/data_page.rst", category="Report"),
    log:
        f"logs/{RUN}/data_page.log",
    params:
        run=RUN,
        template=templates("base.html.j2", "notices.html.j2", "data.html.j2"),
        code=code("data_page"),
        environment=environment("data_page"),
    script:
        "../scripts/data_page.py"


rule page:
    input:
        main=rules.tables.output.main,
        classes=rules.tables.output.classes,
        measurements=rules.tables.output.measurements,
        pairings=rules.tables.output.pairings,
        attacks=rules.tables.output.attacks,
        denoisers=rules.tables.output.denoisers,
        costs=rules.costs.output.table,
        seconds=expand(rules.measure_costs.output.seconds, dataset=CONFIG.datasets),
        curves=[f"{REPORT}/figures/{name}.svg" for name in CURVES],
        pictures=expand(rules.gallery.output.picture, dataset=CONFIG.datasets),
        captions=expand(rules.gallery.output.caption, dataset=CONFIG.datasets),
        summaries=expand(rules.look_at_data.output.summary, dataset=CONFIG.datasets),
        manifests=MANIFESTS,
        data=rules.data_page.output,  # the page links to it
        artifacts=[*expand(INDEX, dataset=CONFIG.datasets), *weights(), TABLE],
        cards=cards(),  # their records are read, and those of what papers take up
        paper=[*PAPER, *(f"{REPORT}/figures/{name}.pdf" for name in CURVES)],
    output:
        report(PAGE, caption="../reports/captions/page.rst", category="Report"),
    log:
        f"logs/{RUN}/page.log",
    params:
        configuration=CONFIG.model_dump(mode="json", exclude={"mirror", "device", "replay"}),
        template=templates("base.html.j2", "notices.html.j2", "page.html.j2"),
        recorded=recorded_artifacts(),
        code=code("page"),
        environment=environment("page"),
    script:
        "../scripts/page.py"
