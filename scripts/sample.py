from segcert.networks.runtime import device_name, set_up_torch
from segcert.provenance.recording import recorded
from segcert.smoothing.shard import sample_shard
from segcert.smoothing.store import BlockStore

with recorded(snakemake) as found:
    device = set_up_torch(snakemake.config["device"], snakemake.threads)
    found["device"] = device_name(device)
    sample_shard(
        snakemake.input.index,
        snakemake.params.segmenter,
        snakemake.params.denoiser,
        snakemake.output[0],
        denoising_steps=snakemake.params.denoising_steps,
        sigma=float(snakemake.wildcards.sigma),
        shard=int(snakemake.wildcards.shard),
        shards=snakemake.params.shards,
        settings=snakemake.params.settings,
        measurements=snakemake.params.measurements,
        keep_draws=snakemake.params.keep_draws,
        noise=snakemake.params.noise,
        pool=snakemake.params.pool,
        n0=snakemake.params.n0,
        n=snakemake.params.n,
        seed=snakemake.params.seed,
        device=device,
        code=snakemake.params.code,
        store=BlockStore(snakemake.params.store),
    )
