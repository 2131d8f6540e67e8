from segcert.provenance.dvc import pull_from_remote
from segcert.provenance.snakemake_metadata import restore_metadata

pull_from_remote(snakemake.params.folders)
restore_metadata()
