from segcert.data.adm_checkpoint import fetch_checkpoint
from segcert.networks.adm import import_adm
from segcert.provenance.digests import file_digest
from segcert.provenance.recording import recorded

with recorded(snakemake) as found:
    checkpoint = snakemake.params.checkpoint
    fetch_checkpoint(checkpoint)
    found["holds"] = {checkpoint: file_digest(checkpoint)}
    import_adm(checkpoint, snakemake.params.folder)
