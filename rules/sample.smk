# in:  data/prepared/<dataset>/index.csv, a segmenter and, optionally, a denoiser
# out: results/<run>/votes/<dataset>/<model>-<regime>/<denoiser>/sigma_<sigma>/shard_<shard>.npz
#      results/<run>/predictions/<dataset>/<model>-<regime>.npz   predictions of the model without smoothing
#      results/<run>/denoised/<dataset>/<denoiser>/sigma_<sigma>.npz   examples for the gallery and the viewer
#      results/<run>/denoiser_scores/<dataset>.csv   PSNR and SSIM of denoised validation images
#      results/<run>/{costs,seconds}/<dataset>.csv   cost of a draw (evaluations, parameters, GFLOP); wall time
# Finished blocks of draws are stored in .segcert/blocks, which is not a declared output. An interrupted job uses them.


SAMPLER = "sample_at_looks" if CONFIG.looks else "sample"  # `sample` does not depend on how certificates are decided


rule sample:
    input:
        **with_records(index=INDEX, segmenter=chosen(ASKED.segmenter_files), denoiser=chosen(ASKED.denoiser_files)),
    output:
        *with_record(VOTES),
    log:
        logs(f"{RUN}/sample/{PAIRING}/sigma_{{sigma}}/{{shard}}"),
    benchmark:
        benchmarks(f"{RUN}/sample/{PAIRING}/sigma_{{sigma}}/{{shard}}")
    conda:
        software("networks")
    resources:
        **needs(chosen(ASKED.memory), minutes=720, gpu=GPUS_OF_A_JOB),
    params:
        **tracked_by("model", SAMPLER, OF_NETWORKS),
        drawing_code=tracked_by("model", "sample", OF_NETWORKS)["code"],
        segmenter=SEGMENTER,
        denoiser=chosen(ASKED.denoiser_folder),
        denoising_steps=chosen(ASKED.denoising_calls),
        shards=chosen(ASKED.shards),
        settings=CONFIG.sampling.model_dump(exclude={"shard_size"}),
        measurements=chosen(ASKED.measurements),
        measured_code=chosen(ASKED.measured_code),
        keep_draws=CONFIG.keep_draws,
        noise=CONFIG.noise,
        pool=CONFIG.pool,
        n0=CONFIG.n0,
        n=CONFIG.n,
        looks=ASKED.looks(),
        seed=CONFIG.seed,
        store=STORE,
    script:
        "../scripts/sample_at_looks.py" if CONFIG.looks else "../scripts/sample.py"


rule predict:
    input:
        **with_records(index=INDEX, segmenter=chosen(ASKED.segmenter_files)),
    output:
        *with_record(PREDICTIONS),
    log:
        logs(f"{RUN}/predict/{{dataset}}/{{model}}-{{regime}}"),
    benchmark:
        benchmarks(f"{RUN}/predict/{{dataset}}/{{model}}-{{regime}}")
    conda:
        software("networks")
    resources:
        **needs(4000, minutes=240, gpu=GPUS_OF_A_JOB),
    params:
        **tracked_by("model", "predict", OF_NETWORKS),
        segmenter=SEGMENTER,
        test_images=CONFIG.sampling.test_images,
        pool=CONFIG.pool,
    script:
        "../scripts/predict.py"


rule denoise_examples:
    input:
        **with_records(index=INDEX, denoiser=chosen(ASKED.denoiser_files)),
    output:
        *with_record(*at_each_sigma(DENOISED)),
    log:
        logs(f"{RUN}/denoise_examples/{{dataset}}/{{denoiser}}"),
    benchmark:
        benchmarks(f"{RUN}/denoise_examples/{{dataset}}/{{denoiser}}")
    conda:
        software("networks")
    resources:
        **needs(chosen(ASKED.memory), minutes=240, gpu=GPUS_OF_A_JOB),
    params:
        **tracked("denoise_examples"),
        denoiser=chosen(ASKED.denoiser_folder),
        denoising_steps=chosen(ASKED.denoising_calls),
        sigmas=CONFIG.sigmas,
        examples=max(CONFIG.report.examples, CONFIG.report.viewer),
        pool=CONFIG.pool,
        seed=CONFIG.seed,
    script:
        "../scripts/denoise_examples.py"


rule score_denoisers:
    input:
        **with_records(index=INDEX, denoisers=chosen(ASKED.all_denoisers)),
    output:
        *with_record(SCORES),
    log:
        logs(f"{RUN}/score_denoisers/{{dataset}}"),
    benchmark:
        benchmarks(f"{RUN}/score_denoisers/{{dataset}}")
    conda:
        software("networks")
    resources:
        **needs(max(map(ASKED.memory, CONFIG.denoisers)), minutes=240, gpu=GPUS_OF_A_JOB),
    params:
        **tracked("score_denoisers"),
        denoisers=chosen(ASKED.denoiser_folders),
        denoising_steps=CONFIG.denoising_steps,
        sigmas=CONFIG.sigmas,
        pool=CONFIG.pool,
        seed=CONFIG.seed,
    script:
        "../scripts/score_denoisers.py"


rule measure_costs:
    input:
        **with_records(index=INDEX, segmenters=chosen(ASKED.all_segmenters), denoisers=chosen(ASKED.all_denoisers)),
    output:
        **named_with_record(costs=COSTS, seconds=SECONDS),
    log:
        logs(f"{RUN}/measure_costs/{{dataset}}"),
    benchmark:
        benchmarks(f"{RUN}/measure_costs/{{dataset}}")
    conda:
        software("networks")
    resources:
        **needs(max(map(ASKED.memory, CONFIG.denoisers)), minutes=240, gpu=GPUS_OF_A_JOB),
    params:
        **tracked("measure_costs", *modules_of(*CONFIG.models)),
        pairings=chosen(ASKED.paired_folders),
        denoising_steps=CONFIG.denoising_steps,
        settings=CONFIG.sampling.model_dump(include={"batch_size", "precision", "compile"}),
        pool=CONFIG.pool,
    script:
        "../scripts/measure_costs.py"
