# in:  data/prepared/<dataset>/index.csv; networks of one's own; OpenAI's checkpoint
# out: models/segmenter/<dataset>/<model>-<regime>/{model.safetensors,last.safetensors,config.json,history.csv}
#      models/segmenter/<dataset>/<model>-given/{model.safetensors or program.pt,config.json}
#      models/denoiser/<dataset, several joined by +, or adm256>/{unet,scheduler}/ in diffusers format;
#      of those that are trained last.safetensors and history.csv
# A killed training goes on from its checkpoint in .segcert/checkpoints.


def network(wildcards):
    """What is built: an architecture of segcert's, or a factory of one's own, and its arguments."""
    about = ABOUT[wildcards.dataset]
    own = CONFIG.own_models.get(wildcards.model)
    if own:
        values = {
            "in_channels": about.channels,
            "num_classes": len(about.classes),
            "image_size": CONFIG.image_size // CONFIG.pool,
        }
        code_of_target = own.target and target_digest(own.target)
        return {"architecture": own.target, "arguments": own.filled(**values), "target_code": code_of_target}
    of_unet = {"depth": CONFIG.segmenter.depth} if wildcards.model == "unet" else {}
    sizes = {"in_channels": about.channels, "num_classes": len(about.classes), "width": CONFIG.segmenter.width}
    return {"architecture": wildcards.model, "arguments": sizes | of_unet}


def segmenter_settings(wildcards):
    """The keys of the section `segmenter` that a training reads."""
    settings = CONFIG.segmenter.model_dump(exclude={"width", "depth", "fine_tuning"})
    settings["augmentation"]["flips"] &= ABOUT[wildcards.dataset].any_orientation
    if wildcards.regime != "noise":
        del settings["sigma_max"]
    if wildcards.regime == "denoised":
        share = CONFIG.segmenter.fine_tuning
        settings["steps"] = max(1, round(share * settings["steps"]))
        settings["epochs"] = settings["epochs"] and share * settings["epochs"]
    return settings


def denoiser_settings(wildcards):
    """The keys of the section `denoiser` that a training reads."""
    channels, layers_per_block = CONFIG.denoiser.layout
    settings = CONFIG.denoiser.model_dump(exclude={"size", "shared"})
    turned = all(ABOUT[dataset].any_orientation for dataset in wildcards.source.split("+"))
    settings["augmentation"]["flips"] &= turned
    return settings | {"channels": channels, "layers_per_block": layers_per_block}


def start_of(wildcards):
    """The files that a segmenter of the regime `denoised` is tuned with: the clean one, and the denoiser."""
    if wildcards.regime != "denoised":
        return {"index": INDEX}
    clean = dict(wildcards.items()) | {"regime": "clean"}
    return {
        "index": INDEX,
        "start": [path.format(**clean) for path in segmenter_files(wildcards.model)],
        "denoiser": denoiser_files(wildcards.dataset, DIFFUSION[0]),
    }


def tuning(wildcards):
    """What a segmenter of the regime `denoised` is tuned with."""
    if wildcards.regime != "denoised":
        return {}
    return {
        "start": SEGMENTER.format(dataset=wildcards.dataset, model=wildcards.model, regime="clean"),
        "denoiser": denoiser_folder(wildcards.dataset, DIFFUSION[0]),
        "denoising_steps": CONFIG.denoising_steps,
        "sigmas": CONFIG.sigmas,
    }


def tuning_memory(wildcards, attempt):
    """MiB of memory that a training asks for; in the regime `denoised` the denoiser is there, too."""
    return attempt * memory_of(DIFFUSION[:1] if wildcards.regime == "denoised" else [])


rule train_segmenter:
    input:
        unpack(start_of),
    output:
        f"{SEGMENTER}/model.safetensors",
        f"{SEGMENTER}/last.safetensors",
        f"{SEGMENTER}/config.json",
        f"{SEGMENTER}/history.csv",
    log:
        "logs/train/{dataset}/{model}-{regime}.log",
    benchmark:
        "logs/train/{dataset}/{model}-{regime}.tsv"
    wildcard_constraints:
        regime="clean|noise|denoised",
    conda:
        software("networks")
    threads: 1
    resources:
        gpu=gpus() * CONFIG.gpus,
        mem_mb=tuning_memory,
        runtime=720,
    params:
        folder=subpath(output[0], parent=True),
        network=network,
        classes=classes,
        settings=segmenter_settings,
        tuning=tuning,
        pool=CONFIG.pool,
        seed=CONFIG.seed,
        checkpoint=f"{CHECKPOINTS}/{SEGMENTER}.pt",
        code=lambda wildcards: code("train_segmenter", *built_in(wildcards.model)),
        environment=environment("train_segmenter"),
    script:
        "../scripts/train_segmenter.py"


rule import_network:
    input:
        lambda wildcards: GIVEN[wildcards.model],
    output:
        f"{SEGMENTER}/model.safetensors",
        f"{SEGMENTER}/config.json",
    log:
        "logs/train/{dataset}/{model}-{regime}.log",
    benchmark:
        "logs/train/{dataset}/{model}-{regime}.tsv"
    wildcard_constraints:
        model=only(set(GIVEN) - set(PROGRAMS)),
        regime="given",
    conda:
        software("networks")
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        folder=subpath(output[0], parent=True),
        network=network,
        classes=classes,
        in_channels=lambda wildcards: ABOUT[wildcards.dataset].channels,
        image_size=CONFIG.image_size,
        pool=CONFIG.pool,
        code=lambda wildcards: code("import_network", *built_in(wildcards.model)),
        environment=environment("import_network"),
    script:
        "../scripts/import_network.py"


use rule import_network as import_program with:
    output:
        f"{SEGMENTER}/program.pt",
        f"{SEGMENTER}/config.json",
    wildcard_constraints:
        model=only(PROGRAMS),
        regime="given",


rule train_denoiser:
    input:
        lambda wildcards: expand(INDEX, dataset=wildcards.source.split("+")),
    output:
        DENOISER_FILES,
        f"{DENOISER}/last.safetensors",
        f"{DENOISER}/history.csv",
    log:
        "logs/train/denoiser/{source}.log",
    benchmark:
        "logs/train/denoiser/{source}.tsv"
    wildcard_constraints:
        source=only(TRAINED_DENOISERS.values()),
    priority: 1  # the longest job of a small run: it starts first
    conda:
        software("networks")
    threads: 1
    resources:
        gpu=gpus() * CONFIG.gpus,
        mem_mb=growing(4000),
        runtime=1440,
    params:
        folder=DENOISER,
        settings=denoiser_settings,
        pool=CONFIG.pool,
        seed=CONFIG.seed,
        checkpoint=f"{CHECKPOINTS}/{DENOISER}.pt",
        code=code("train_denoiser"),
        environment=environment("train_denoiser"),
    script:
        "../scripts/train_denoiser.py"


ADM_FILES = expand(DENOISER_FILES, source="adm256")
ADM_CHECKPOINT = "data/raw/adm256/256x256_diffusion_uncond.pt"


rule import_adm:
    output:
        ADM_FILES,
    log:
        "logs/train/denoiser/adm256.log",
    benchmark:
        "logs/train/denoiser/adm256.tsv"
    conda:
        software("networks")
    threads: 1
    resources:
        mem_mb=growing(memory_of(["adm256"])),
        runtime=240,
    params:
        checkpoint=ADM_CHECKPOINT,
        disturbed=lambda wildcards: disturbed(ADM_FILES[0], missing=False),
        folder=subpath(output[0], ancestor=2),
        code=code("import_adm"),
        environment=environment("import_adm"),
    script:
        "../scripts/import_adm.py"
