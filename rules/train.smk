# in:  data/prepared/<dataset>/index.csv
# out: models/segmenter/<dataset>/<model>-<regime>/{model.safetensors,config.json,history.csv}
#      models/denoiser/<dataset>/{unet,scheduler}/ in diffusers format, history.csv


rule train_segmenter:
    input:
        index=INDEX,
    output:
        f"{SEGMENTER}/model.safetensors",
        f"{SEGMENTER}/config.json",
        f"{SEGMENTER}/history.csv",
    log:
        "logs/train/{dataset}/{model}-{regime}.log",
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=4000,
        runtime=720,
    params:
        folder=subpath(output[0], parent=True),
        classes=classes,
        settings=CONFIG.segmenter.model_dump(),
        pool=CONFIG.pool,
        seed=CONFIG.seed,
        code=code("train_segmenter"),
    script:
        "../scripts/train_segmenter.py"


rule train_denoiser:
    input:
        index=INDEX,
    output:
        DENOISER_FILES,
        f"{DENOISER}/history.csv",
    log:
        "logs/train/{dataset}/denoiser.log",
    priority: 1  # the longest job of a small run: it starts first
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=4000,
        runtime=1440,
    params:
        folder=DENOISER,
        settings=CONFIG.denoiser.model_dump(),
        pool=CONFIG.pool,
        seed=CONFIG.seed,
        code=code("train_denoiser"),
    script:
        "../scripts/train_denoiser.py"
