from segcert.provenance.recording import recorded
from segcert.training.denoiser import train_denoiser
from segcert.training.launch import launch

with recorded(snakemake) as found:
    params = snakemake.params
    arguments = {
        "indexes": list(snakemake.input),
        "folder": params.folder,
        "settings": params.settings,
        "pool": params.pool,
        "seed": params.seed,
        "checkpoint": params.checkpoint,
        "code": params.code,
    }
    found["device"] = launch(
        train_denoiser,
        arguments,
        device=snakemake.config["device"],
        threads=snakemake.threads,
        processes=snakemake.config["gpus"] if snakemake.resources.gpu else 1,
        log=snakemake.log[0],
    )
