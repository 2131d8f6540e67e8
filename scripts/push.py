from segcert.provenance.pointers import push_to_remote

push_to_remote(snakemake.params.folders)
