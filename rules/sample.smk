# in:  data/prepared/<dataset>/index.csv, a segmenter, a denoiser or none
# out: results/<run>/votes/<dataset>/<model>-<regime>/<denoiser>/sigma_<sigma>/shard_<shard>.npz
#      results/<run>/predictions/<dataset>/<model>-<regime>.npz   labels of the unsmoothed model
#      results/<run>/denoised/<dataset>/<denoiser>/sigma_<sigma>.npz   examples for the gallery and the viewer
#      results/<run>/denoiser_scores/<dataset>.csv   PSNR and SSIM of denoised validation images
#      results/<run>/{costs,seconds}/<dataset>.csv   what a draw costs: evaluations, parameters, GFLOP; wall time
# Finished blocks of draws stand in .segcert/blocks, outside the declared outputs: a killed job goes on from there.

VOTES = f"{RESULTS}/votes/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}/sigma_{{sigma}}"
DENOISED = f"{RESULTS}/denoised/{{dataset}}/{{denoiser}}/sigma_{{sigma}}.npz"


def at_each_sigma(pattern):
    """A file of each noise level, in their order."""
    return expand(pattern, sigma=SIGMAS, allow_missing=True)


def all_segmenters(wildcards):
    """The files of all segmenters of the data set."""
    return [
        path.format(dataset=wildcards.dataset, model=model, regime=regime)
        for model, regime in MODELS
        for path in segmenter_files(model)
    ]


def all_denoisers(wildcards):
    """The files of all denoisers in front of the segmenters of the data set."""
    return [path for denoiser in DIFFUSION for path in denoiser_files(wildcards.dataset, denoiser)]


def paired_folders(wildcards):
    """Each pairing, and the folders of its segmenter and its denoiser."""
    return [
        [
            [model, regime, denoiser],
            [
                SEGMENTER.format(dataset=wildcards.dataset, model=model, regime=regime),
                denoiser_folder(wildcards.dataset, denoiser),
            ],
        ]
        for model, regime, denoiser in PAIRINGS
    ]


def shards_of(dataset):
    """How many jobs the test images of a data set are dealt out among: planned before the images are there."""
    if CONFIG.sampling.shard_size is None:
        return 1
    if dataset in OWN_FOLDERS:
        images = OWN_FOLDERS[dataset].tests(SPLITS[dataset])
    elif dataset == "phantom":
        images = CONFIG.phantom.test
    else:
        images = expected_tests(ABOUT[dataset], SPLITS[dataset])
    images = min(images, CONFIG.sampling.test_images or images)
    return max(1, math.ceil(images / CONFIG.sampling.shard_size))


SHARDS = {dataset: shards_of(dataset) for dataset in CONFIG.datasets}


def votes(wildcards):
    """The votes of all test images of a data set, for a pairing: those of a sigma follow one another."""
    return expand(f"{VOTES}/shard_{{shard}}.npz", sigma=SIGMAS, shard=range(SHARDS[wildcards.dataset]), **wildcards)


rule sample:
    input:
        index=INDEX,
        segmenter=chosen_segmenter,
        denoiser=chosen_denoiser,
    output:
        f"{VOTES}/shard_{{shard}}.npz",
    log:
        f"logs/{RUN}/sample/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}/sigma_{{sigma}}/{{shard}}.log",
    benchmark:
        f"logs/{RUN}/sample/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}/sigma_{{sigma}}/{{shard}}.tsv"
    conda:
        software("networks")
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=memory,
        runtime=720,
    params:
        segmenter=SEGMENTER,
        denoiser=chosen_denoiser_folder,
        denoising_steps=chosen_steps,
        shards=lambda wildcards: SHARDS[wildcards.dataset],
        settings=CONFIG.sampling.model_dump(exclude={"shard_size"}),
        measurements=measurements,
        measured_code=measured_code,
        keep_draws=CONFIG.keep_draws,
        noise=CONFIG.noise,
        pool=CONFIG.pool,
        n0=CONFIG.n0,
        n=CONFIG.n,
        seed=CONFIG.seed,
        store=STORE,
        code=lambda wildcards: code("sample", *built_in(wildcards.model)),
        environment=environment("sample"),
    script:
        "../scripts/sample.py"


rule predict:
    input:
        index=INDEX,
        segmenter=chosen_segmenter,
    output:
        f"{RESULTS}/predictions/{{dataset}}/{{model}}-{{regime}}.npz",
    log:
        f"logs/{RUN}/predict/{{dataset}}/{{model}}-{{regime}}.log",
    benchmark:
        f"logs/{RUN}/predict/{{dataset}}/{{model}}-{{regime}}.tsv"
    conda:
        software("networks")
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=growing(4000),
        runtime=240,
    params:
        segmenter=SEGMENTER,
        test_images=CONFIG.sampling.test_images,
        pool=CONFIG.pool,
        code=lambda wildcards: code("predict", *built_in(wildcards.model)),
        environment=environment("predict"),
    script:
        "../scripts/predict.py"


rule denoise_examples:
    input:
        index=INDEX,
        denoiser=chosen_denoiser,
    output:
        at_each_sigma(DENOISED),
    log:
        f"logs/{RUN}/denoise_examples/{{dataset}}/{{denoiser}}.log",
    benchmark:
        f"logs/{RUN}/denoise_examples/{{dataset}}/{{denoiser}}.tsv"
    conda:
        software("networks")
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=memory,
        runtime=240,
    params:
        denoiser=chosen_denoiser_folder,
        denoising_steps=chosen_steps,
        sigmas=CONFIG.sigmas,
        examples=max(CONFIG.report.examples, CONFIG.report.viewer),
        pool=CONFIG.pool,
        seed=CONFIG.seed,
        code=code("denoise_examples"),
        environment=environment("denoise_examples"),
    script:
        "../scripts/denoise_examples.py"


rule score_denoisers:
    input:
        index=INDEX,
        denoisers=all_denoisers,
    output:
        f"{RESULTS}/denoiser_scores/{{dataset}}.csv",
    log:
        f"logs/{RUN}/score_denoisers/{{dataset}}.log",
    benchmark:
        f"logs/{RUN}/score_denoisers/{{dataset}}.tsv"
    conda:
        software("networks")
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=growing(memory_of(DIFFUSION)),
        runtime=240,
    params:
        denoisers=lambda wildcards: {name: denoiser_folder(wildcards.dataset, name) for name in DIFFUSION},
        denoising_steps=CONFIG.denoising_steps,
        sigmas=CONFIG.sigmas,
        pool=CONFIG.pool,
        seed=CONFIG.seed,
        code=code("score_denoisers"),
        environment=environment("score_denoisers"),
    script:
        "../scripts/score_denoisers.py"


rule measure_costs:
    input:
        index=INDEX,
        segmenters=all_segmenters,
        denoisers=all_denoisers,
    output:
        costs=f"{RESULTS}/costs/{{dataset}}.csv",
        seconds=f"{RESULTS}/seconds/{{dataset}}.csv",
    log:
        f"logs/{RUN}/measure_costs/{{dataset}}.log",
    benchmark:
        f"logs/{RUN}/measure_costs/{{dataset}}.tsv"
    conda:
        software("networks")
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=growing(memory_of(DIFFUSION)),
        runtime=240,
    params:
        pairings=paired_folders,
        denoising_steps=CONFIG.denoising_steps,
        settings=CONFIG.sampling.model_dump(include={"batch_size", "precision", "compile"}),
        pool=CONFIG.pool,
        code=code("measure_costs", *built_in(*CONFIG.models)),
        environment=environment("measure_costs"),
    script:
        "../scripts/measure_costs.py"
