from pathlib import Path

from segcert.data.manifest import write_manifest
from segcert.provenance.recording import recorded

with recorded(snakemake):
    files = {path: Path(path) for path in snakemake.input}
    write_manifest(Path(snakemake.params.folder), snakemake.wildcards.dataset, [], files)
