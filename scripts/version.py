from segcert.provenance.bucket import rename
from segcert.provenance.pointers import add_to_dvc
from segcert.provenance.trail import pack_trail

rename(snakemake).unpack(snakemake.input)
if snakemake.params.trail:
    pack_trail()
add_to_dvc(snakemake.params.folders)
