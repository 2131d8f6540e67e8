# in:  certificates, predictions, noisy and denoised copies, data/prepared/<dataset>/index.csv
# out: reports/<run>/viewer/<dataset>/{images,sigma_<sigma>,<model>-<regime>}.js
#      reports/<run>/figures/gallery_<dataset>.{png,txt}, example_<dataset>.{png,txt}: one example, for the summary
# What the page shows of images. The viewer is in parts: the page holds them all, or loads those that it needs.

VIEWER = f"{REPORT}/viewer/{{dataset}}"
SEGMENTERS = [f"{model}-{regime}" for model, regime in MODELS]
PICTURED = DIFFUSION or ["none"]
CERTIFIED = [(f"{model}-{regime}", denoiser, sigma) for (model, regime, denoiser), sigma in product(PAIRINGS, SIGMAS)]
SHOWN = [pairing for pairing in PAIRINGS if pairing[0] == CONFIG.models[0]]  # in the gallery


def certified(suffix):
    """A file of each pairing and sigma of a data set."""
    folder = f"{RESULTS}/certificates/{{dataset}}"
    return [f"{folder}/{segmenter}/{denoiser}/sigma_{sigma}.{suffix}" for segmenter, denoiser, sigma in CERTIFIED]


def viewer_parts():
    """The files of the viewer's parts, by data set and name."""
    files = {
        "images": "images",
        **{sigma: f"sigma_{sigma}" for sigma in SIGMAS},
        **{segmenter: segmenter for segmenter in SEGMENTERS},
    }
    return {
        (dataset, name): f"{VIEWER.format(dataset=dataset)}/{file}.js"
        for dataset, (name, file) in product(CONFIG.datasets, files.items())
    }


rule pictures:
    input:
        index=INDEX,
        predictions=[f"{RESULTS}/predictions/{{dataset}}/{segmenter}.npz" for segmenter in SEGMENTERS],
        pictures=expand(DENOISED, denoiser=PICTURED, sigma=SIGMAS, allow_missing=True),
        labels=certified("npz"),
        levels=certified("radii.npz"),
        metrics=certified("parquet"),
        intervals=certified("intervals.parquet"),
    output:
        images=f"{VIEWER}/images.js",
        noise=[f"{VIEWER}/sigma_{sigma}.js" for sigma in SIGMAS],
        maps=[f"{VIEWER}/{segmenter}.js" for segmenter in SEGMENTERS],
        gallery=report(
            f"{REPORT}/figures/gallery_{{dataset}}.png",
            caption="../reports/captions/gallery.rst",
            category="Figures",
            subcategory="Gallery",
            labels={"figure": "gallery of {dataset}", "format": "PNG"},
        ),
        caption=f"{REPORT}/figures/gallery_{{dataset}}.txt",
        example=f"{REPORT}/figures/example_{{dataset}}.png",
        example_caption=f"{REPORT}/figures/example_{{dataset}}.txt",
    log:
        f"logs/{RUN}/pictures/{{dataset}}.log",
    benchmark:
        f"logs/{RUN}/pictures/{{dataset}}.tsv"
    conda:
        software("report")
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        sigmas=SIGMAS,
        segmenters=SEGMENTERS,
        pictures=list(product(PICTURED, SIGMAS)),
        certificates=CERTIFIED,
        viewer=CONFIG.report.viewer,
        shown=SHOWN,
        denoiser=DIFFUSION[:1],
        examples=CONFIG.report.examples,
        code=code("pictures"),
        environment=environment("pictures"),
    script:
        "../scripts/pictures.py"
