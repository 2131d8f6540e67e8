import pandas as pd

from segcert.io.atomic import atomic_file
from segcert.networks.runtime import device_name, set_up_torch
from segcert.provenance.recording import recorded
from segcert.smoothing.attack import attack_rows

with recorded(snakemake) as found:
    device = set_up_torch(snakemake.config["device"], snakemake.threads)
    found["device"] = device_name(device)
    rows = attack_rows(
        snakemake.input.index,
        snakemake.params.segmenter,
        snakemake.params.denoiser,
        dict(zip(snakemake.params.sigmas, snakemake.input.certificates, strict=True)),
        {key: snakemake.wildcards[key] for key in ("model", "regime", "denoiser")},
        denoising_steps=snakemake.params.denoising_steps,
        settings=snakemake.params.settings,
        tau=snakemake.params.tau,
        batch_size=snakemake.params.batch_size,
        precision=snakemake.params.precision,
        noise=snakemake.params.noise,
        pool=snakemake.params.pool,
        seed=snakemake.params.seed,
        device=device,
    )
    with atomic_file(snakemake.output[0]) as path:
        pd.DataFrame(rows).to_parquet(path, index=False)
