# in:  votes, predictions, data/prepared/<dataset>/index.csv
# out: results/<run>/certificates/<dataset>/<model>-<regime>/<denoiser>/sigma_<sigma>.{npz,parquet}
#      results/<run>/certificates.parquet    one row per image x model x denoiser x sigma x class

CERTIFICATES = f"{RESULTS}/certificates/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}/sigma_{{sigma}}"
TABLE = f"{RESULTS}/certificates.parquet"


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
    log:
        f"logs/{RUN}/certify/{{dataset}}/{{model}}-{{regime}}/{{denoiser}}/sigma_{{sigma}}.log",
    params:
        tau=CONFIG.tau,
        alpha=CONFIG.alpha,
        method=CONFIG.method,
        code=code("certify"),
    script:
        "../scripts/certify.py"


rule collect:
    input:
        grid(f"{CERTIFICATES}.parquet"),
    output:
        TABLE,
    log:
        f"logs/{RUN}/collect.log",
    params:
        code=code("collect"),
    script:
        "../scripts/collect.py"
