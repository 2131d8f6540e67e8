# in:  certificates, predictions, noisy and denoised copies, data/prepared/<dataset>/index.csv
# out: reports/<run>/viewer/<dataset>/{images,sigma_<sigma>,<model>-<regime>}.js
# What the viewer of the page shows, in parts: the page holds them all, or loads those that it needs.

VIEWER = f"{REPORT}/viewer/{{dataset}}"
SEGMENTERS = [f"{model}-{regime}" for model, regime in MODELS]
PICTURED = DIFFUSION or ["none"]
CERTIFIED = [(f"{model}-{regime}", denoiser, sigma) for (model, regime, denoiser), sigma in product(PAIRINGS, SIGMAS)]


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


rule viewer:
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
    log:
        f"logs/{RUN}/viewer/{{dataset}}.log",
    benchmark:
        f"logs/{RUN}/viewer/{{dataset}}.tsv"
    conda:
        software("report")
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=15,
    params:
        sigmas=SIGMAS,
        models=SEGMENTERS,
        pictures=list(product(PICTURED, SIGMAS)),
        certificates=CERTIFIED,
        most=CONFIG.report.viewer,
        code=code("viewer"),
        environment=environment("viewer"),
    script:
        "../scripts/viewer.py"
