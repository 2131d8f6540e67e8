# in:  votes, predictions, data/prepared/<dataset>/index.csv
# out: results/<run>/certificates/<dataset>/<model>-<regime>/<denoiser>/sigma_<sigma>.{npz,parquet}, .intervals.parquet
#      results/<run>/certificates.parquet    one row per image x model x denoiser x sigma x class
#      results/<run>/intervals.parquet       one row per image x model x denoiser x sigma x measurement

CERTIFICATES = f"{RESULTS}/certificates/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}/sigma_{{sigma}}"
TABLE = f"{RESULTS}/certificates.parquet"
INTERVALS = f"{RESULTS}/intervals.parquet"


def grid(pattern, **more):
    """A pattern filled with every combination of the configuration, each file once."""
    files = expand(
        pattern,
        dataset=CONFIG.datasets,
        model=CONFIG.models,
        regime=CONFIG.regimes,
        denoiser=CONFIG.denoisers,
        sigma=SIGMAS,
        **more,
    )
    return list(dict.fromkeys(files))


rule certify:
    input:
        index=INDEX,
        votes=expand(
            f"{VOTES}/shard_{{shard}}.npz",
            shard=range(CONFIG.sampling.shards),
            allow_missing=True,
        ),
        predictions=rules.predict.output[0],
    output:
        labels=f"{CERTIFICATES}.npz",
        metrics=f"{CERTIFICATES}.parquet",
        intervals=f"{CERTIFICATES}.intervals.parquet",
    log:
        f"logs/{RUN}/certify/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}/sigma_{{sigma}}.log",
    params:
        settings={"tau": CONFIG.tau, "alpha": CONFIG.alpha, "method": CONFIG.method, "k": CONFIG.kfwer_k},
        measurements=measurements,
        thresholds=dict(parse_decision(decision) for decision in CONFIG.decisions),
        code=code("certify"),
    script:
        "../scripts/certify.py"


rule collect:
    input:
        metrics=grid(f"{CERTIFICATES}.parquet"),
        intervals=grid(f"{CERTIFICATES}.intervals.parquet"),
    output:
        metrics=TABLE,
        intervals=INTERVALS,
    log:
        f"logs/{RUN}/collect.log",
    params:
        code=code("collect"),
    script:
        "../scripts/collect.py"
