from segcert.provenance.recording import recorded
from segcert.training.launch import launch
from segcert.training.segmenter import train_segmenter

with recorded(snakemake) as found:
    params = snakemake.params
    arguments = {
        "index": snakemake.input.index,
        "folder": params.folder,
        "regime": snakemake.wildcards.regime,
        **params.network,
        "settings": params.settings,
        **params.tuning,
        "pool": params.pool,
        "seed": params.seed,
        "checkpoint": params.checkpoint,
        "code": params.code,
    }
    found["device"] = launch(
        train_segmenter,
        arguments,
        device=snakemake.config["device"],
        threads=snakemake.threads,
        processes=snakemake.config["gpus"] if snakemake.resources.gpu else 1,
        log=snakemake.log[0],
    )
