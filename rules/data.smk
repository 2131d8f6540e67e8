# in:  official archives (or a mirror of them, or what lies in data/raw/<dataset>/); folders of one's own
# out: data/raw/<dataset>/manifest.json and the archives beside it
#      data/prepared/<dataset>/{index.csv,dataset.json,splits.json,left_out.csv}, images/*.png and masks/*.png beside them

RELEASES = [name for name in CONFIG.datasets if ABOUT[name].archives]
PREPARED_FILES = [f"{PREPARED}/{name}" for name in ("index.csv", "dataset.json", "splits.json", "left_out.csv")]
FORM = {"image_size": CONFIG.image_size, "keep_aspect": CONFIG.keep_aspect}
MANIFEST = "data/raw/{dataset}/manifest.json"


def only(names):
    """A constraint on a wildcard: one of some names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def archives(wildcards):
    """What fetch goes by: the module of a data set may say more, which fetches nothing anew."""
    of_dataset = ABOUT[wildcards.dataset].archives
    return [[archive.name, archive.holds, archive.url, archive.sha256, archive.md5] for archive in of_dataset]


def choice(wildcards):
    """Who trains, validates and tests, and which images are left out."""
    return {"split": CONFIG.splits.get(wildcards.dataset), "exclude": CONFIG.exclude.get(wildcards.dataset, [])}


def disturbed_raw(wildcards):
    """Archives that changed since they were fetched; one that is gone is missed only where it is needed."""
    return disturbed(MANIFEST.format(**wildcards), missing=False)


def disturbed_images(wildcards):
    """Prepared images and masks that changed since they were made, or are gone; in a bucket they travel packed."""
    return disturbed(INDEX.format(**wildcards), missing=not STORED)


def split_file(wildcards):
    """The file that states the split, if one does."""
    split = CONFIG.splits.get(wildcards.dataset, "")
    return [split] if split.endswith(".json") else []


rule fetch:
    output:
        MANIFEST,
    log:
        "logs/fetch/{dataset}.log",
    benchmark:
        "logs/fetch/{dataset}.tsv"
    wildcard_constraints:
        dataset=only(RELEASES),
    localrule: True  # the nodes of many clusters have no network
    conda:
        software("data")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=720,
    params:
        folder=subpath(output[0], parent=True),
        archives=archives,
        disturbed=disturbed_raw,
        code=code("fetch"),
        environment=environment("fetch"),
    script:
        "../scripts/fetch.py"


rule record_folder:
    input:
        lambda wildcards: OWN_FILES[wildcards.dataset],
    output:
        MANIFEST,
    log:
        "logs/record_folder/{dataset}.log",
    benchmark:
        "logs/record_folder/{dataset}.tsv"
    wildcard_constraints:
        dataset=only(OWN_FOLDERS),
    conda:
        software("data")
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=15,
    params:
        folder=subpath(output[0], parent=True),
        code=code("record_folder"),
        environment=environment("record_folder"),
    script:
        "../scripts/record_folder.py"


rule prepare_phantom:
    input:
        split_file,
    output:
        PREPARED_FILES,
    log:
        "logs/prepare/{dataset}.log",
    benchmark:
        "logs/prepare/{dataset}.tsv"
    wildcard_constraints:
        dataset="phantom",
    conda:
        software("data")
    threads: 8
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        folder=subpath(output[0], parent=True),
        counts=CONFIG.phantom.model_dump(),
        form=FORM,
        choice=choice,
        disturbed=disturbed_images,
        code=code("prepare_phantom"),
        environment=environment("prepare_phantom"),
    script:
        "../scripts/prepare_phantom.py"


rule prepare_release:
    input:
        MANIFEST,
        split_file,
    output:
        PREPARED_FILES,
    log:
        "logs/prepare/{dataset}.log",
    benchmark:
        "logs/prepare/{dataset}.tsv"
    wildcard_constraints:
        dataset=only(RELEASES),
    conda:
        software("data")
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=240,
    params:
        raw=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
        form=FORM,
        choice=choice,
        disturbed=disturbed_images,
        code=lambda wildcards: code("prepare_release", f"segcert/data/sets/{wildcards.dataset}.py"),
        environment=lambda wildcards: environment("prepare_release", f"segcert/data/sets/{wildcards.dataset}.py"),
    script:
        "../scripts/prepare_release.py"


rule prepare_folder:
    input:
        MANIFEST,
        split_file,
    output:
        PREPARED_FILES,
    log:
        "logs/prepare/{dataset}.log",
    benchmark:
        "logs/prepare/{dataset}.tsv"
    wildcard_constraints:
        dataset=only(OWN_FOLDERS),
    conda:
        software("data")
    threads: 8
    resources:
        mem_mb=growing(4000),
        runtime=240,
    params:
        raw=subpath(input[0], parent=True),
        folder=subpath(output[0], parent=True),
        settings=lambda wildcards: CONFIG.own_data[wildcards.dataset].model_dump(),
        form=FORM,
        choice=choice,
        disturbed=disturbed_images,
        code=code("prepare_folder"),
        environment=environment("prepare_folder"),
    script:
        "../scripts/prepare_folder.py"
