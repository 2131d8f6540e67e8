from segcert.provenance.dvc import pull_from_remote

pull_from_remote(snakemake.params.folders)
