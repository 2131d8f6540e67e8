# in:  results/<run>/{certificates,intervals,budget,attacks}.parquet, certificates, predictions, denoised examples
# out: reports/<run>/index.html, tables/{main,classes,measurements,attacks,budget}.csv,
#      figures/{certified_dice,budget}.{svg,png}, figures/gallery_<dataset>.{png,txt}
#      data.html, tables/data_<dataset>.json, figures/data_<dataset>_{contact.png,intensity.svg,areas.svg}: of the data alone

from segcert.provenance.digests import file_digest, value_digest

MODELS = [(model, regime) for model in CONFIG.models for regime in CONFIG.regimes]
PAIRINGS = [(*model, denoiser, sigma) for model in MODELS for denoiser in CONFIG.denoisers for sigma in SIGMAS]
DENOISED_SIGMAS = [] if CONFIG.denoisers == ["none"] else SIGMAS
MANIFESTS = expand(MANIFEST, dataset=[*RELEASES, *OWN_FOLDERS])
TEMPLATES = SCRIPTS / "segcert/reporting/templates"


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
        *MANIFESTS,
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
        *expand(rules.look_at_data.output.summary, dataset=CONFIG.datasets),
        rules.data_page.output[0],
    ]


def templates(page):
    """Digest of the templates of a page."""
    return value_digest([file_digest(TEMPLATES / name) for name in ("base.html.j2", "notices.html.j2", page)])


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
        template=templates("data.html.j2"),
        code=code("data_page"),
    script:
        "../scripts/data_page.py"


rule page:
    input:
        main=rules.tables.output.main,
        classes=rules.tables.output.classes,
        measurements=rules.tables.output.measurements,
        attacks=rules.tables.output.attacks,
        curves=[rules.curves.output.dice[0], rules.curves.output.budget[0]],
        pictures=expand(rules.gallery.output.picture, dataset=CONFIG.datasets),
        captions=expand(rules.gallery.output.caption, dataset=CONFIG.datasets),
        summaries=expand(rules.look_at_data.output.summary, dataset=CONFIG.datasets),
        manifests=MANIFESTS,
        data=rules.data_page.output,  # the page links to it
        artifacts=[*expand(INDEX, dataset=CONFIG.datasets), *weights(), TABLE],
    output:
        report(PAGE, caption="../reports/captions/page.rst", category="Report"),
    log:
        f"logs/{RUN}/page.log",
    params:
        configuration=CONFIG.model_dump(mode="json", exclude={"mirror", "device"}),
        template=templates("page.html.j2"),
        recorded=recorded_artifacts(),
        code=code("page"),
    script:
        "../scripts/page.py"
