# in:  votes, predictions, data/prepared/<dataset>/index.csv
# out: results/<run>/certificates/<dataset>/<model>-<regime>/<denoiser>/sigma_<sigma>.{npz,parquet}, .intervals.parquet, .budget.parquet,
#      .radii.npz (radius maps by image, segcert.results.radius_rows), .radii.parquet
#      results/<run>/attacks/<dataset>/<model>-<regime>/<denoiser>.parquet
#      results/<run>/certificates.parquet    one row per image x model x denoiser x sigma x class
#      results/<run>/intervals.parquet       one row per image x model x denoiser x sigma x measurement
#      results/<run>/budget.parquet          forecast of certified Dice and area for other numbers of draws, by method
#      results/<run>/radii.parquet           one row per image x model x denoiser x sigma x class x radius of the grid
#      results/<run>/attacks.parquet         one row per attacked image x model x denoiser x sigma x multiple of the radius


rule certify:  # one job decides all noise levels, because starting a job takes longer than deciding one level
    input:
        **with_records(index=INDEX, votes=votes, predictions=PREDICTIONS),
    output:
        **named_with_record(**{kind: at_each_sigma(file) for kind, file in CERTIFIED.items()}),
    log:
        logs(f"{RUN}/certify/{PAIRING}"),
    benchmark:
        benchmarks(f"{RUN}/certify/{PAIRING}")
    conda:
        software("certify")
    resources:
        **needs(4000, minutes=30),
    params:
        **tracked("certify"),
        shards=chosen(ASKED.shards),
        settings=ASKED.decision(),
        classes=chosen(ASKED.classes),
        measurements=chosen(ASKED.measurements),
        measured_code=chosen(ASKED.measured_code),
        thresholds=dict(parse_decision(decision) for decision in CONFIG.decisions),
        store=STORE,
    script:
        "../scripts/certify.py"


rule attack:
    input:
        **with_records(
            index=INDEX,
            segmenter=chosen(ASKED.segmenter_files),
            denoiser=chosen(ASKED.denoiser_files),
            certificates=at_each_sigma(f"{CERTIFICATES}.npz"),
            votes=votes,
        ),
    output:
        *with_record(ATTACKED),
    log:
        logs(f"{RUN}/attack/{PAIRING}"),
    benchmark:
        benchmarks(f"{RUN}/attack/{PAIRING}")
    conda:
        software("networks")
    resources:
        **needs(chosen(ASKED.memory), minutes=240, gpu=GPUS_OF_A_JOB),
    params:
        **tracked_by("model", "attack", OF_NETWORKS),
        segmenter=SEGMENTER,
        denoiser=chosen(ASKED.denoiser_folder),
        denoising_steps=chosen(ASKED.denoising_calls),
        sigmas=CONFIG.sigmas,
        settings=CONFIG.attack.model_dump(),
        tau=CONFIG.tau,
        method=CONFIG.method,
        batch_size=CONFIG.sampling.batch_size,
        precision=CONFIG.sampling.precision,
        noise=CONFIG.noise,
        pool=CONFIG.pool,
        seed=CONFIG.seed,
    script:
        "../scripts/attack.py"


rule collect:
    input:
        **with_records(
            **{kind: grid(CERTIFIED[kind]) for kind in CERTIFIED_TABLES},
            attacks=grid(ATTACKED) if CONFIG.attack.images else [],
        ),
    output:
        **named_with_record(**COLLECTED),
    log:
        logs(f"{RUN}/collect"),
    benchmark:
        benchmarks(f"{RUN}/collect")
    conda:
        software("certify")
    resources:
        **needs(4000),
    params:
        **tracked("collect"),
    script:
        "../scripts/collect.py"
