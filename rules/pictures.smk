# in:  certificates, predictions, noisy and denoised copies, data/prepared/<dataset>/index.csv
# out: reports/<run>/viewer/<dataset>/{images,sigma_<sigma>,<model>-<regime>}.js   parts of the page's viewer
#      reports/<run>/figures/gallery_<dataset>.{png,txt}
#      reports/<run>/figures/example_<dataset>.{png,txt}   one example, for the summary
#      reports/<run>/figures/typical_<dataset>{.json,_predicted.png,_certified.png}   an image of median certified Dice
# The page either contains all parts of its viewer or loads the parts that it needs.

CERTIFIED = [
    (f"{model}-{regime}", denoiser, sigma) for (model, regime, denoiser), sigma in product(ASKED.pairings, SIGMAS)
]


def certified(suffix):
    """Return a list with a file for each pairing and sigma of a data set."""
    folder = f"{RESULTS}/certificates/{{dataset}}"
    return [f"{folder}/{segmenter}/{denoiser}/sigma_{sigma}.{suffix}" for segmenter, denoiser, sigma in CERTIFIED]


rule pictures:
    input:
        **with_records(
            index=INDEX,
            predictions=[f"{RESULTS}/predictions/{{dataset}}/{segmenter}.npz" for segmenter in SEGMENTERS],
            pictures=expand(DENOISED, denoiser=PICTURED, sigma=SIGMAS, allow_missing=True),
            labels=certified("npz"),
            levels=certified("radii.npz"),
            metrics=certified("parquet"),
            intervals=certified("intervals.parquet"),
        ),
    output:
        **named_with_record(
            images=f"{VIEWER}/images.js",
            noise=[f"{VIEWER}/sigma_{sigma}.js" for sigma in SIGMAS],
            maps=[f"{VIEWER}/{segmenter}.js" for segmenter in SEGMENTERS],
            gallery=shown(
                f"{GALLERY}.png", "gallery", "Figures", "Gallery", figure="gallery of {dataset}", format="PNG"
            ),
            caption=f"{GALLERY}.txt",
            example=f"{EXAMPLE}.png",
            example_caption=f"{EXAMPLE}.txt",
            typical=TYPICAL_IMAGES,
            typical_facts=f"{TYPICAL}.json",
        ),
    log:
        logs(f"{RUN}/pictures/{{dataset}}"),
    benchmark:
        benchmarks(f"{RUN}/pictures/{{dataset}}")
    conda:
        software("report")
    resources:
        **needs(4000, minutes=30),
    params:
        **tracked("pictures"),
        sigmas=SIGMAS,
        segmenters=SEGMENTERS,
        pictures=list(product(PICTURED, SIGMAS)),
        certificates=CERTIFIED,
        viewer=CONFIG.report.viewer,
        shown=[pairing for pairing in ASKED.pairings if pairing[0] == CONFIG.models[0]],  # pairings in the gallery
        denoiser=ASKED.diffusion[:1],
        examples=CONFIG.report.examples,
    script:
        "../scripts/pictures.py"
