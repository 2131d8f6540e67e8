from segcert.models.runtime import device_name, set_up_torch
from segcert.provenance.records import recorded
from segcert.training.denoiser import train_denoiser

with recorded(snakemake) as found:
    device = set_up_torch(snakemake.config["device"], snakemake.threads)
    found["device"] = device_name(device)
    train_denoiser(
        snakemake.input.index,
        snakemake.params.folder,
        settings=snakemake.params.settings,
        pool=snakemake.params.pool,
        seed=snakemake.params.seed,
        device=device,
    )
