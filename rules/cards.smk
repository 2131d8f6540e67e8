# in:  models/segmenter/<dataset>/<model>-<regime>/, models/denoiser/<source>/, what is known of data/prepared/<dataset>/
# out: README.md beside the weights: model cards. Rules of their own, so that an edit of a card's text trains nothing.

TRAINED = [(model, regime) for model, regime in MODELS if regime != "given"]
KNOWN = [f"{PREPARED}/{name}" for name in ("dataset.json", "splits.json")]


def described_segmenter(wildcards):
    """What the card of a segmenter is written from."""
    trained = (wildcards.model, wildcards.regime) in TRAINED
    return {
        "index": INDEX,
        "known": KNOWN,
        "segmenter": chosen_segmenter(wildcards),
        "history": [f"{SEGMENTER}/history.csv"] if trained else [],
    }


def card_settings(wildcards):
    """The settings that a segmenter was trained with here; none for one that was trained elsewhere."""
    return {} if wildcards.regime == "given" else segmenter_settings(wildcards)


def cards():
    """The cards of all models of the run."""
    segmenters = [
        path
        for model, regime in MODELS
        for path in expand(f"{SEGMENTER}/README.md", dataset=CONFIG.datasets, model=model, regime=regime)
    ]
    folders = [denoiser_folder(dataset, denoiser) for dataset in CONFIG.datasets for denoiser in DIFFUSION]
    return segmenters + [f"{folder}/README.md" for folder in dict.fromkeys(folders)]


rule segmenter_card:
    input:
        unpack(described_segmenter),
    output:
        f"{SEGMENTER}/README.md",
    log:
        "logs/card/{dataset}/{model}-{regime}.log",
    benchmark:
        "logs/card/{dataset}/{model}-{regime}.tsv"
    conda:
        software("report")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        folder=subpath(output[0], parent=True),
        settings=card_settings,
        tuning=tuning,
        template=templates("card_parts.md.j2", "segmenter_card.md.j2"),
        code=code("segmenter_card"),
        environment=environment("segmenter_card"),
    script:
        "../scripts/segmenter_card.py"


rule denoiser_card:
    input:
        indexes=lambda wildcards: expand(INDEX, dataset=wildcards.source.split("+")),
        known=lambda wildcards: expand(KNOWN, dataset=wildcards.source.split("+")),
        denoiser=DENOISER_FILES,
        history=f"{DENOISER}/history.csv",
    output:
        f"{DENOISER}/README.md",
    log:
        "logs/card/denoiser/{source}.log",
    benchmark:
        "logs/card/denoiser/{source}.tsv"
    wildcard_constraints:
        source=only(TRAINED_DENOISERS.values()),
    conda:
        software("report")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        folder=subpath(output[0], parent=True),
        settings=denoiser_settings,
        pool=CONFIG.pool,
        template=templates("card_parts.md.j2", "denoiser_card.md.j2"),
        code=code("denoiser_card"),
        environment=environment("denoiser_card"),
    script:
        "../scripts/denoiser_card.py"


rule adm_card:
    input:
        expand(DENOISER_FILES, source="adm256"),
    output:
        f"{DENOISER.format(source='adm256')}/README.md",
    log:
        "logs/card/denoiser/adm256.log",
    benchmark:
        "logs/card/denoiser/adm256.tsv"
    conda:
        software("report")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        folder=subpath(output[0], parent=True),
        template=templates("card_parts.md.j2", "adm_card.md.j2"),
        code=code("adm_card"),
        environment=environment("adm_card"),
    script:
        "../scripts/adm_card.py"
