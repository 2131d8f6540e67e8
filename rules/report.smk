# in:  results/<run>/{certificates,intervals,budget,attacks}.parquet, certificates, predictions, denoised examples
# out: reports/<run>/index.html, tables/{main,classes,measurements,attacks,budget}.csv,
#      figures/{certified_dice,budget}.{svg,png}, figures/gallery_<dataset>.{png,txt}

from segcert.provenance.digests import file_digest

MODELS = [(model, regime) for model in CONFIG.models for regime in CONFIG.regimes]
PAIRINGS = [(*model, denoiser, sigma) for model in MODELS for denoiser in CONFIG.denoisers for sigma in SIGMAS]
DENOISED_SIGMAS = [] if CONFIG.denoisers == ["none"] else SIGMAS


def weights():
    """The files of all models of the run."""
    segmenters = expand(
        f"{SEGMENTER}/model.safetensors",
        dataset=CONFIG.datasets,
        model=CONFIG.models,
        regime=CONFIG.regimes,
    )
    denoisers = expand(DENOISER_FILES, dataset=CONFIG.datasets) if DENOISED_SIGMAS else []
    return segmenters + denoisers


def recorded_artifacts():
    """An output of every job of the run but the page: what has a run record."""
    return [
        *expand(MANIFEST, dataset=[*RELEASES, *OWN_FOLDERS]),
        *expand(INDEX, dataset=CONFIG.datasets),
        *(path for path in weights() if path.endswith(".safetensors")),
        *grid(f"{VOTES}/shard_{{shard}}.npz", shard=range(CONFIG.sampling.shards)),
        *grid(rules.predict.output[0]),
        *(grid(rules.denoise_examples.output[0]) if DENOISED_SIGMAS else []),
        *grid(f"{CERTIFICATES}.npz"),
        *(grid(rules.attack.output[0]) if CONFIG.attack.images else []),
        TABLE,
        rules.tables.output.main,
        rules.curves.output.dice[0],
        *expand(rules.gallery.output.picture, dataset=CONFIG.datasets),
    ]


def table(name):
    """A table of the report, with its caption for Snakemake's own report."""
    return report(f"{REPORT}/tables/{name}.csv", caption=f"../reports/captions/{name}.rst", category="Tables")


def figure(name):
    """A figure of the report, for the page (SVG) and for papers (PNG)."""
    svg = report(f"{REPORT}/figures/{name}.svg", caption=f"../reports/captions/{name}.rst", category="Figures")
    return [svg, f"{REPORT}/figures/{name}.png"]


rule tables:
    input:
        metrics=TABLE,
        intervals=INTERVALS,
        attacks=ATTACKS,
        budget=BUDGET,
    output:
        main=table("main"),
        classes=table("classes"),
        measurements=table("measurements"),
        attacks=table("attacks"),
        budget=table("budget"),
    log:
        f"logs/{RUN}/tables.log",
    params:
        resamples=CONFIG.report.bootstrap,
        code=code("tables"),
    script:
        "../scripts/tables.py"


rule curves:
    input:
        main=rules.tables.output.main,
        budget=rules.tables.output.budget,
    output:
        dice=figure("certified_dice"),
        budget=figure("budget"),
    log:
        f"logs/{RUN}/curves.log",
    params:
        code=code("curves"),
    script:
        "../scripts/curves.py"


rule gallery:
    input:
        index=INDEX,
        predictions=[f"{RESULTS}/predictions/{{dataset}}/{model}-{regime}.npz" for model, regime in MODELS],
        denoised=[f"{RESULTS}/denoised/{{dataset}}/sigma_{sigma}.npz" for sigma in DENOISED_SIGMAS],
        certificates=[
            f"{RESULTS}/certificates/{{dataset}}/{model}-{regime}/{denoiser}/sigma_{sigma}.npz"
            for model, regime, denoiser, sigma in PAIRINGS
        ],
    output:
        picture=report(
            f"{REPORT}/figures/gallery_{{dataset}}.png",
            caption="../reports/captions/gallery.rst",
            category="Figures",
            labels={"figure": "gallery", "data set": "{dataset}"},
        ),
        caption=f"{REPORT}/figures/gallery_{{dataset}}.txt",
    log:
        f"logs/{RUN}/gallery/{{dataset}}.log",
    params:
        models=MODELS,
        denoised=DENOISED_SIGMAS,
        certificates=PAIRINGS,
        examples=CONFIG.report.examples,
        code=code("gallery"),
    script:
        "../scripts/gallery.py"


rule page:
    input:
        main=rules.tables.output.main,
        classes=rules.tables.output.classes,
        measurements=rules.tables.output.measurements,
        attacks=rules.tables.output.attacks,
        curves=[rules.curves.output.dice[0], rules.curves.output.budget[0]],
        pictures=expand(rules.gallery.output.picture, dataset=CONFIG.datasets),
        captions=expand(rules.gallery.output.caption, dataset=CONFIG.datasets),
        datasets=expand(f"{PREPARED}/dataset.json", dataset=CONFIG.datasets),
        artifacts=[*expand(INDEX, dataset=CONFIG.datasets), *weights(), TABLE],
    output:
        report(PAGE, caption="../reports/captions/page.rst", category="Report"),
    log:
        f"logs/{RUN}/page.log",
    params:
        configuration=CONFIG.model_dump(mode="json", exclude={"mirror", "device"}),
        template=file_digest(SCRIPTS / "segcert/reporting/templates/page.html.j2"),
        recorded=recorded_artifacts(),
        code=code("page"),
    script:
        "../scripts/page.py"
