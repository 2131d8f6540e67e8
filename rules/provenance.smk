# in:  data/, models/, results/, reports/<run>/
# out: data.dvc, models.dvc, results.dvc, reports/<run>.dvc: pointers into DVC's cache
#      reports/<run>/audit.{html,json}   `snakemake audit`
#      reports/<run>.crate/: the run as an RO-Crate, on demand (`snakemake crate`)
# Snakemake's records travel in results/.trail; a clone that pulled the artifacts takes them up (rules/common.smk).


rule version_data:
    input:
        MANIFESTS,
        expand(PREPARED_FILES, dataset=CONFIG.datasets),
    output:
        "data.dvc",
    conda:
        software("store")
    threads: 1
    resources:
        dvc=1,
        mem_mb=growing(2000),
        runtime=60,
    params:
        folders=["data"],
        trail=False,
        code=code("version"),
        environment=environment("version"),
    script:
        "../scripts/version.py"


rule version_models:
    input:
        models(),
        cards(),
    output:
        "models.dvc",
    conda:
        software("store")
    threads: 1
    resources:
        dvc=1,
        mem_mb=growing(2000),
        runtime=60,
    params:
        folders=["models"],
        trail=False,
        code=code("version"),
        environment=environment("version"),
    script:
        "../scripts/version.py"


rule version_results:
    input:
        PAGE,
        rules.version_data.output,
        rules.version_models.output,
    output:
        "results.dvc",
    conda:
        software("store")
    threads: 1
    resources:
        dvc=1,
        mem_mb=growing(2000),
        runtime=60,
    params:
        folders=["results", REPORT],
        trail=True,
        code=code("version"),
        environment=environment("version"),
    script:
        "../scripts/version.py"


rule push:
    input:
        rules.version_data.output,
        rules.version_models.output,
        rules.version_results.output,
    localrule: True
    conda:
        software("store")
    threads: 1
    resources:
        dvc=1,
        mem_mb=growing(2000),
        runtime=720,
    params:
        folders=VERSIONED,
    script:
        "../scripts/push.py"


rule pull:  # what the pointers here name; what a run makes of it is for the next plan
    localrule: True
    conda:
        software("store")
    threads: 1
    resources:
        dvc=1,
        mem_mb=growing(2000),
        runtime=720,
    params:
        folders=VERSIONED,
    script:
        "../scripts/pull.py"


rule audit:
    localrule: True
    conda:
        software("networks")
    params:
        run=RUN,
    script:
        "../scripts/audit.py"


rule crate:  # of what is there: it has no inputs, so that packing a run never makes anything of it again
    localrule: True
    conda:
        software("store")
    params:
        run=RUN,
        software=SOURCE,
    script:
        "../scripts/crate.py"
