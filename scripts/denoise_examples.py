from segcert.networks.runtime import device_name, set_up_torch
from segcert.provenance.recording import recorded
from segcert.smoothing.examples import denoise_examples

with recorded(snakemake) as found:
    device = set_up_torch(snakemake.config["device"], snakemake.threads)
    found["device"] = device_name(device)
    denoise_examples(
        snakemake.input.index,
        snakemake.params.denoiser,
        denoising_steps=snakemake.params.denoising_steps,
        outputs=dict(zip(snakemake.params.sigmas, snakemake.output, strict=True)),
        examples=snakemake.params.examples,
        pool=snakemake.params.pool,
        seed=snakemake.params.seed,
        device=device,
    )
