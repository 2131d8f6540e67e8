from segcert.io.atomic import atomic_file
from segcert.provenance.ledger import joined
from segcert.provenance.recording import recorded
from segcert.provenance.records import read_record
from segcert.results.kinds import ARRAYS, KINDS, certificates_of, read_rows

with recorded(snakemake) as found:
    for kind in KINDS:
        with atomic_file(snakemake.output[kind]) as path:
            read_rows(snakemake.input[kind]).to_parquet(path, index=False)
    labels = [f"{name}{ARRAYS['labels']}" for name in certificates_of(snakemake.input.metrics)]
    found["decisions"] = joined(map(read_record, labels))
