# in:  data/prepared/<dataset>/index.csv; user-supplied networks; OpenAI's checkpoint
# out: models/segmenter/<dataset>/<model>-<regime>/{model.safetensors,last.safetensors,config.json,history.csv}
#      models/segmenter/<dataset>/<model>-given/{model.safetensors or program.pt,config.json}
#      models/denoiser/<data sets joined by +, or adm256>/{unet,scheduler}/, in diffusers format;
#      for trained denoisers, also last.safetensors and history.csv
# An interrupted training job resumes from its checkpoint in .segcert/checkpoints.


rule train_segmenter:
    input:
        **with_records(index=INDEX, start=chosen(ASKED.start_files), denoiser=chosen(ASKED.tuning_files)),
    output:
        *with_record(
            f"{SEGMENTER}/model.safetensors",
            f"{SEGMENTER}/last.safetensors",
            f"{SEGMENTER}/config.json",
            f"{SEGMENTER}/history.csv",
        ),
    log:
        logs("train/{dataset}/{model}-{regime}"),
    benchmark:
        benchmarks("train/{dataset}/{model}-{regime}")
    wildcard_constraints:
        regime="clean|noise|denoised",
    conda:
        software("networks")
    resources:
        **needs(chosen(ASKED.memory_of_tuning), minutes=720, gpu=GPUS_OF_A_JOB * CONFIG.gpus),
    params:
        **tracked_by("model", "train_segmenter", OF_NETWORKS),
        folder=filled(SEGMENTER),
        network=chosen(ASKED.network),
        classes=chosen(ASKED.classes),
        settings=chosen(ASKED.segmenter_settings),
        tuning=chosen(ASKED.tuning),
        pool=CONFIG.pool,
        seed=CONFIG.seed,
        checkpoint=f"{CHECKPOINTS}/{SEGMENTER}.pt",
    script:
        "../scripts/train_segmenter.py"


rule import_network:
    input:
        **with_records(pretrained=chosen(ASKED.pretrained_file)),
    output:
        *with_record(f"{SEGMENTER}/model.safetensors", f"{SEGMENTER}/config.json"),
    log:
        logs("train/{dataset}/{model}-{regime}"),
    benchmark:
        benchmarks("train/{dataset}/{model}-{regime}")
    wildcard_constraints:
        model=only(set(ASKED.pretrained) - set(ASKED.exported)),
        regime="given",
    conda:
        software("networks")
    resources:
        **needs(4000, minutes=60),
    params:
        **tracked_by("model", "import_network", OF_NETWORKS),
        folder=filled(SEGMENTER),
        network=chosen(ASKED.network),
        classes=chosen(ASKED.classes),
        in_channels=chosen(ASKED.channels),
        image_size=CONFIG.image_size,
        preprocessing=chosen(ASKED.preprocessing),
        pool=CONFIG.pool,
    script:
        "../scripts/import_network.py"


use rule import_network as import_program with:
    output:
        *with_record(f"{SEGMENTER}/program.pt", f"{SEGMENTER}/config.json"),
    wildcard_constraints:
        model=only(ASKED.exported),
        regime="given",


rule train_denoiser:
    input:
        **with_records(indexes=trained_on(INDEX)),
    output:
        *with_record(*DENOISER_FILES, f"{DENOISER}/last.safetensors", f"{DENOISER}/history.csv"),
    log:
        logs("train/denoiser/{source}"),
    benchmark:
        benchmarks("train/denoiser/{source}")
    wildcard_constraints:
        source=only(ASKED.sources.values()),
    priority: 1  # the longest job of a small run, so it starts first
    conda:
        software("networks")
    resources:
        **needs(4000, minutes=1440, gpu=GPUS_OF_A_JOB * CONFIG.gpus),
    params:
        **tracked("train_denoiser"),
        folder=filled(DENOISER),
        settings=chosen(ASKED.denoiser_settings),
        pool=CONFIG.pool,
        seed=CONFIG.seed,
        checkpoint=f"{CHECKPOINTS}/{DENOISER}.pt",
    script:
        "../scripts/train_denoiser.py"


rule import_adm:
    output:
        *with_record(*ADM_FILES, packed=True),
    log:
        logs("train/denoiser/adm256"),
    benchmark:
        benchmarks("train/denoiser/adm256")
    conda:
        software("networks")
    resources:
        **needs(ASKED.memory("adm256"), minutes=240),
    params:
        **tracked("import_adm"),
        checkpoint="data/raw/adm256/256x256_diffusion_uncond.pt",
        changed_extra_outputs=changed_extra_outputs(ADM_FILES[0]),
        folder=filled(ADM),
    script:
        "../scripts/import_adm.py"
