# in:  data/prepared/<dataset>/index.csv, a segmenter, a denoiser or none
# out: results/<run>/votes/<dataset>/<model>-<regime>/<denoiser>/sigma_<sigma>/shard_<shard>.npz
#      results/<run>/predictions/<dataset>/<model>-<regime>.npz   labels of the unsmoothed model
#      results/<run>/denoised/<dataset>/sigma_<sigma>.npz         examples for the gallery
# Finished blocks of draws stand in .segcert/blocks, outside the declared outputs: a killed job goes on from there.

VOTES = f"{RESULTS}/votes/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}/sigma_{{sigma}}"


def denoiser_files(wildcards):
    """The files of the denoiser in front of the segmenter, if there is one."""
    return [] if wildcards.denoiser == "none" else expand(DENOISER_FILES, dataset=wildcards.dataset)


def denoiser_folder(wildcards):
    """The folder of the denoiser in front of the segmenter, or None."""
    return None if wildcards.denoiser == "none" else DENOISER.format(dataset=wildcards.dataset)


rule sample:
    input:
        index=INDEX,
        segmenter=[f"{SEGMENTER}/model.safetensors", f"{SEGMENTER}/config.json"],
        denoiser=denoiser_files,
    output:
        f"{VOTES}/shard_{{shard}}.npz",
    log:
        f"logs/{RUN}/sample/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}/sigma_{{sigma}}/{{shard}}.log",
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=4000,
        runtime=720,
    params:
        segmenter=SEGMENTER,
        denoiser=denoiser_folder,
        shards=CONFIG.sampling.shards,
        settings=CONFIG.sampling.model_dump(),
        measurements=measurements,
        measured_code=measured_code,
        keep_draws=CONFIG.keep_draws,
        noise=CONFIG.noise,
        pool=CONFIG.pool,
        n0=CONFIG.n0,
        n=CONFIG.n,
        seed=CONFIG.seed,
        store=STORE,
        code=code("sample"),
    script:
        "../scripts/sample.py"


rule predict:
    input:
        index=INDEX,
        segmenter=[f"{SEGMENTER}/model.safetensors", f"{SEGMENTER}/config.json"],
    output:
        f"{RESULTS}/predictions/{{dataset}}/{{model}}-{{regime}}.npz",
    log:
        f"logs/{RUN}/predict/{{dataset}}/{{model}}-{{regime}}.log",
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=4000,
    params:
        segmenter=SEGMENTER,
        test_images=CONFIG.sampling.test_images,
        pool=CONFIG.pool,
        code=code("predict"),
    script:
        "../scripts/predict.py"


rule denoise_examples:
    input:
        index=INDEX,
        denoiser=DENOISER_FILES,
    output:
        f"{RESULTS}/denoised/{{dataset}}/sigma_{{sigma}}.npz",
    log:
        f"logs/{RUN}/denoise_examples/{{dataset}}/sigma_{{sigma}}.log",
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=4000,
    params:
        denoiser=DENOISER,
        examples=CONFIG.report.examples,
        pool=CONFIG.pool,
        seed=CONFIG.seed,
        code=code("denoise_examples"),
    script:
        "../scripts/denoise_examples.py"
