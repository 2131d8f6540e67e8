from pathlib import Path

from segcert.data.raw import write_manifest
from segcert.provenance.records import recorded

with recorded(snakemake):
    files = {path: Path(path) for path in snakemake.input}
    write_manifest(Path(snakemake.params.folder), snakemake.wildcards.dataset, [], files)
