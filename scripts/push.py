from segcert.provenance.dvc import push_to_remote

push_to_remote(snakemake.params.folders)
