# in:  data/, models/, results/, reports/<run>/
# out: data.dvc, models.dvc, results.dvc, reports/<run>.dvc   pointers into DVC's cache
#      reports/<run>/audit.{html,json}   only if requested (`snakemake audit`)
#      reports/<run>.crate/   the run as an RO-Crate, only if requested (`snakemake crate`)
# results/.trail contains Snakemake's records. A clone that pulled the artifacts restores them (rules/common.smk).


rule version_data:
    input:
        **with_records(manifests=MANIFESTS, prepared=of_each_dataset(PREPARED_FILES)),
    output:
        "data.dvc",
    conda:
        software("store")
    resources:
        **needs(minutes=60, dvc=1),
    params:
        **tracked("version"),
        folders=["data"],
    script:
        "../scripts/version.py"


use rule version_data as version_models with:
    input:
        **with_records(models=ASKED.model_files(), cards=ASKED.cards()),
    output:
        "models.dvc",
    params:
        **tracked("version"),
        folders=["models"],


use rule version_data as version_results with:
    input:
        **with_records(
            page=PAGE,
            pointers=["data.dvc", "models.dvc"],
            also=lambda: all_of([*recorded_artifacts(), STAGES_TABLE, PAGE]),
        ),
    output:
        "results.dvc",
        [f"{REPORT}.dvc"] if STORED else [],
    params:
        **tracked("version"),
        folders=["results", REPORT],


rule push:
    input:
        rules.version_data.output,
        rules.version_models.output,
        rules.version_results.output,
    localrule: True
    conda:
        software("store")
    resources:
        **needs(minutes=720, dvc=1),
    params:
        folders=VERSIONED,
    script:
        "../scripts/push.py"


rule pull:  # pull the files that this commit's pointers name; the next run decides which jobs are stale
    localrule: True
    conda:
        software("store")
    resources:
        **needs(minutes=720, dvc=1),
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


rule crate:  # this rule has no inputs, so that packing a run never reruns its jobs
    localrule: True
    conda:
        software("store")
    params:
        run=RUN,
        software=SOURCE,
    script:
        "../scripts/crate.py"
