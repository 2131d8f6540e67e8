# in:  votes, predictions, data/prepared/<dataset>/index.csv
# out: results/<run>/certificates/<dataset>/<model>-<regime>/<denoiser>/sigma_<sigma>.{npz,parquet}, .intervals.parquet, .budget.parquet,
#      .radii.npz (radius maps by image, segcert.results.radius_rows), .radii.parquet
#      results/<run>/attacks/<dataset>/<model>-<regime>/<denoiser>.parquet
#      results/<run>/certificates.parquet    one row per image x model x denoiser x sigma x class
#      results/<run>/intervals.parquet       one row per image x model x denoiser x sigma x measurement
#      results/<run>/budget.parquet          certified Dice and area forecast for other numbers of draws, by method
#      results/<run>/radii.parquet           one row per image x model x denoiser x sigma x class x radius of the grid
#      results/<run>/attacks.parquet         one row per attacked image x model x denoiser x sigma x multiple of the radius

CERTIFICATES = f"{RESULTS}/certificates/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}/sigma_{{sigma}}"
TABLE = f"{RESULTS}/certificates.parquet"
INTERVALS = f"{RESULTS}/intervals.parquet"
BUDGET = f"{RESULTS}/budget.parquet"
RADII = f"{RESULTS}/radii.parquet"
ATTACKS = f"{RESULTS}/attacks.parquet"


def grid(pattern, datasets=CONFIG.datasets, **more):
    """A pattern filled for every data set, pairing and sigma of the configuration, each file once."""
    files = [
        path
        for model, regime, denoiser in PAIRINGS
        for path in expand(
            pattern,
            dataset=datasets,
            model=model,
            regime=regime,
            denoiser=denoiser,
            sigma=SIGMAS,
            **more,
        )
    ]
    return list(dict.fromkeys(files))


rule certify:  # all noise levels in one job: it takes longer to start than to decide one of them
    input:
        index=INDEX,
        votes=votes,
        predictions=rules.predict.output[0],
    output:
        labels=at_each_sigma(f"{CERTIFICATES}.npz"),
        metrics=at_each_sigma(f"{CERTIFICATES}.parquet"),
        intervals=at_each_sigma(f"{CERTIFICATES}.intervals.parquet"),
        budget=at_each_sigma(f"{CERTIFICATES}.budget.parquet"),
        maps=at_each_sigma(f"{CERTIFICATES}.radii.npz"),
        radii=at_each_sigma(f"{CERTIFICATES}.radii.parquet"),
    log:
        f"logs/{RUN}/certify/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}.log",
    benchmark:
        f"logs/{RUN}/certify/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}.tsv"
    conda:
        software("certify")
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        shards=lambda wildcards: SHARDS[wildcards.dataset],
        settings={"tau": CONFIG.tau, "alpha": CONFIG.alpha, "method": CONFIG.method, "k": CONFIG.kfwer_k},
        classes=classes,
        measurements=measurements,
        measured_code=measured_code,
        thresholds=dict(parse_decision(decision) for decision in CONFIG.decisions),
        code=code("certify"),
        environment=environment("certify"),
    script:
        "../scripts/certify.py"


rule attack:
    input:
        index=INDEX,
        segmenter=chosen_segmenter,
        denoiser=chosen_denoiser,
        certificates=at_each_sigma(f"{CERTIFICATES}.npz"),
    output:
        f"{RESULTS}/attacks/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}.parquet",
    log:
        f"logs/{RUN}/attack/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}.log",
    benchmark:
        f"logs/{RUN}/attack/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}.tsv"
    conda:
        software("networks")
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=memory,
        runtime=240,
    params:
        segmenter=SEGMENTER,
        denoiser=chosen_denoiser_folder,
        denoising_steps=chosen_steps,
        sigmas=CONFIG.sigmas,
        settings=CONFIG.attack.model_dump(),
        tau=CONFIG.tau,
        batch_size=CONFIG.sampling.batch_size,
        precision=CONFIG.sampling.precision,
        noise=CONFIG.noise,
        pool=CONFIG.pool,
        seed=CONFIG.seed,
        code=lambda wildcards: code("attack", *built_in(wildcards.model)),
        environment=environment("attack"),
    script:
        "../scripts/attack.py"


rule collect:
    input:
        metrics=grid(f"{CERTIFICATES}.parquet"),
        intervals=grid(f"{CERTIFICATES}.intervals.parquet"),
        budget=grid(f"{CERTIFICATES}.budget.parquet"),
        radii=grid(f"{CERTIFICATES}.radii.parquet"),
        attacks=grid(rules.attack.output[0]) if CONFIG.attack.images else [],
    output:
        metrics=TABLE,
        intervals=INTERVALS,
        budget=BUDGET,
        radii=RADII,
        attacks=ATTACKS,
    log:
        f"logs/{RUN}/collect.log",
    benchmark:
        f"logs/{RUN}/collect.tsv"
    conda:
        software("certify")
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=15,
    params:
        code=code("collect"),
        environment=environment("collect"),
    script:
        "../scripts/collect.py"
