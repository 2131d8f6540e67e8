# in:  models/segmenter/<dataset>/<model>-<regime>/, models/denoiser/<source>/, descriptions in data/prepared/<dataset>/
# out: model cards (README.md next to the weights), made by rules of their own, so that a new card starts no training

KNOWN = [f"{PREPARED}/dataset.json", f"{PREPARED}/splits.json"]


rule segmenter_card:
    input:
        **with_records(index=INDEX, known=KNOWN, segmenter=chosen(ASKED.segmenter_files), history=chosen(ASKED.history)),
    output:
        *with_record(f"{SEGMENTER}/README.md"),
    log:
        logs("card/{dataset}/{model}-{regime}"),
    benchmark:
        benchmarks("card/{dataset}/{model}-{regime}")
    conda:
        software("report")
    resources:
        **needs(),
    params:
        **tracked("segmenter_card"),
        folder=filled(SEGMENTER),
        settings=chosen(ASKED.segmenter_settings),
        tuning=chosen(ASKED.tuning),
        template=templates("card_parts.md.j2", "segmenter_card.md.j2"),
    script:
        "../scripts/segmenter_card.py"


rule denoiser_card:
    input:
        **with_records(
            indexes=trained_on(INDEX),
            known=trained_on(KNOWN),
            denoiser=DENOISER_FILES,
            history=f"{DENOISER}/history.csv",
        ),
    output:
        *with_record(f"{DENOISER}/README.md"),
    log:
        logs("card/denoiser/{source}"),
    benchmark:
        benchmarks("card/denoiser/{source}")
    wildcard_constraints:
        source=only(ASKED.sources.values()),
    conda:
        software("report")
    resources:
        **needs(),
    params:
        **tracked("denoiser_card"),
        folder=filled(DENOISER),
        settings=chosen(ASKED.denoiser_settings),
        pool=CONFIG.pool,
        template=templates("card_parts.md.j2", "denoiser_card.md.j2"),
    script:
        "../scripts/denoiser_card.py"


rule adm_card:
    input:
        **with_records(denoiser=ADM_FILES),
    output:
        *with_record(f"{ADM}/README.md"),
    log:
        logs("card/denoiser/adm256"),
    benchmark:
        benchmarks("card/denoiser/adm256")
    conda:
        software("report")
    resources:
        **needs(),
    params:
        **tracked("adm_card"),
        folder=filled(ADM),
        template=templates("card_parts.md.j2", "adm_card.md.j2"),
    script:
        "../scripts/adm_card.py"
