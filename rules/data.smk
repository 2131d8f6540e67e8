# in:  official archives (downloaded, from a mirror, or already in data/raw/<dataset>/); user-supplied folders
# out: data/raw/<dataset>/manifest.json and the archives next to it
#      data/prepared/<dataset>/{index.csv,dataset.json,splits.json,left_out.csv}, images/*.png, masks/*.png

PREPARING = {
    "form": {"image_size": CONFIG.image_size, "keep_aspect": CONFIG.keep_aspect},
    "choice": chosen(ASKED.choice),
    "changed_extra_outputs": changed_extra_outputs(INDEX, missing=not STORED),  # images and masks (packed in a bucket)
}


rule fetch:
    output:
        *with_record(MANIFEST, packed=True),
    log:
        logs("fetch/{dataset}"),
    benchmark:
        benchmarks("fetch/{dataset}")
    wildcard_constraints:
        dataset=only(RELEASES),
    localrule: True  # nodes of many clusters have no internet access
    conda:
        software("data")
    resources:
        **needs(1000, minutes=720),
    params:
        **tracked("fetch"),
        folder=filled(RAW),
        archives=chosen(ASKED.archives),
        changed_extra_outputs=changed_extra_outputs(MANIFEST),  # a deleted archive is fetched again only if needed
    script:
        "../scripts/fetch.py"


rule record_folder:
    input:
        **with_records(files=lambda wildcards: ASKED.own_files[wildcards.dataset]),
    output:
        *with_record(MANIFEST),
    log:
        logs("record_folder/{dataset}"),
    benchmark:
        benchmarks("record_folder/{dataset}")
    wildcard_constraints:
        dataset=only(ASKED.own_folders),
    conda:
        software("data")
    resources:
        **needs(1000),
    params:
        **tracked("record_folder"),
        folder=filled(RAW),
    script:
        "../scripts/record_folder.py"


rule prepare_phantom:
    input:
        **with_records(split=chosen(ASKED.split_file)),
    output:
        *with_record(*PREPARED_FILES, packed=True),
    log:
        logs("prepare/{dataset}"),
    benchmark:
        benchmarks("prepare/{dataset}")
    wildcard_constraints:
        dataset="phantom",
    conda:
        software("data")
    threads: 8
    resources:
        **needs(2000, minutes=60),
    params:
        **tracked("prepare_phantom"),
        **PREPARING,
        folder=filled(PREPARED),
        counts=CONFIG.phantom.model_dump(),
    script:
        "../scripts/prepare_phantom.py"


rule prepare_release:
    input:
        **with_records(manifest=MANIFEST, split=chosen(ASKED.split_file)),
    output:
        *with_record(*PREPARED_FILES, packed=True),
    log:
        logs("prepare/{dataset}"),
    benchmark:
        benchmarks("prepare/{dataset}")
    wildcard_constraints:
        dataset=only(RELEASES),
    conda:
        software("data")
    threads: 8
    resources:
        **needs(4000, minutes=240),
    params:
        **tracked_by("dataset", "prepare_release", OF_RELEASES),
        **PREPARING,
        raw=filled(RAW),
        folder=filled(PREPARED),
    script:
        "../scripts/prepare_release.py"


rule prepare_folder:
    input:
        **with_records(manifest=MANIFEST, split=chosen(ASKED.split_file)),
    output:
        *with_record(*PREPARED_FILES, packed=True),
    log:
        logs("prepare/{dataset}"),
    benchmark:
        benchmarks("prepare/{dataset}")
    wildcard_constraints:
        dataset=only(ASKED.own_folders),
    conda:
        software("data")
    threads: 8
    resources:
        **needs(4000, minutes=240),
    params:
        **tracked("prepare_folder"),
        **PREPARING,
        raw=filled(RAW),
        folder=filled(PREPARED),
        settings=chosen(ASKED.own_settings),
    script:
        "../scripts/prepare_folder.py"
