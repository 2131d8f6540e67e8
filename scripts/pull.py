from segcert.provenance.dvc import pull_from_remote
from segcert.provenance.snakemake_metadata import unpack_trail

pull_from_remote(snakemake.params.folders)
unpack_trail()
