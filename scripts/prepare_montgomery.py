from segcert.data.fetch import open_archives
from segcert.data.montgomery import read_montgomery
from segcert.data.prepare import prepare
from segcert.data.splits import split_of
from segcert.provenance.records import recorded

with recorded(snakemake):
    (archive,) = open_archives("montgomery", snakemake.params.raw).values()
    prepare(
        "montgomery",
        read_montgomery(archive),
        snakemake.params.folder,
        snakemake.params.image_size,
        lambda sample: split_of("montgomery", sample.group),
    )
