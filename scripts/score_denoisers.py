import pandas as pd

from segcert.io.atomic import atomic_file
from segcert.networks.runtime import device_name, set_up_torch
from segcert.provenance.recording import recorded
from segcert.smoothing.denoiser_scores import denoiser_scores

with recorded(snakemake) as found:
    device = set_up_torch(snakemake.config["device"], snakemake.threads)
    found["device"] = device_name(device)
    rows = denoiser_scores(
        snakemake.input.index,
        snakemake.params.denoisers,
        denoising_steps=snakemake.params.denoising_steps,
        sigmas=snakemake.params.sigmas,
        pool=snakemake.params.pool,
        seed=snakemake.params.seed,
        device=device,
    )
    with atomic_file(snakemake.output[0]) as path:
        pd.DataFrame(rows).to_csv(path, index=False)
