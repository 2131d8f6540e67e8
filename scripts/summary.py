from pathlib import Path

import pandas as pd

from segcert.provenance.digests import file_digest
from segcert.provenance.records import read_record, recorded
from segcert.reporting.data_summary import read_manifests, read_summary
from segcert.reporting.summary import Provenance, Tables, write_summary

with recorded(snakemake):
    files, params = snakemake.input, snakemake.params
    main, measurements, *claims = (
        pd.read_csv(path, keep_default_na=False, na_values=[""])
        for path in (files.main, files.measurements, files.claims)
        if path
    )
    packages = {}
    for artifact in params.recorded:
        packages |= read_record(artifact).get("packages", {})
    write_summary(
        snakemake.output[0],
        run=params.run,
        tables=Tables(main, measurements, claims[0] if claims else None),
        datasets=[read_summary(path) for path in files.summaries],
        manifests=read_manifests(files.manifests),
        example=(files.example, Path(files.caption).read_text(encoding="utf-8").strip()),
        provenance=Provenance(
            certificates=files.certificates,
            digest=file_digest(files.certificates),
            packages=packages,
            configuration=params.configuration,
        ),
    )
