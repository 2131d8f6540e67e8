from segcert.diffusion.adm import import_adm
from segcert.diffusion.adm_checkpoint import fetch_checkpoint
from segcert.provenance.records import recorded

with recorded(snakemake):
    fetch_checkpoint(snakemake.params.checkpoint)
    import_adm(snakemake.params.checkpoint, snakemake.params.folder)
