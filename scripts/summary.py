from pathlib import Path

from segcert.provenance.recording import recorded
from segcert.provenance.records import read_record
from segcert.report.data_summary import read_manifests, read_summary
from segcert.report.pdf import write_summary
from segcert.results.claims import in_sentences
from segcert.results.tables import read_table

with recorded(snakemake):
    files, params = snakemake.input, snakemake.params
    main, measurements, claims = map(read_table, (files.main, files.measurements, files.claims))
    packages = {}
    for artifact in params.recorded:
        packages |= read_record(artifact).get("packages", {})
    write_summary(
        snakemake.output[0],
        run=params.run,
        main=main,
        measurements=measurements,
        claims=in_sentences(claims),
        datasets=[read_summary(path) for path in files.summaries],
        manifests=read_manifests(files.manifests),
        example=(files.example, Path(files.caption).read_text(encoding="utf-8").strip()),
        certificates=files.certificates,
        collected=read_record(files.certificates),
        packages=packages,
        configuration=params.configuration,
    )
