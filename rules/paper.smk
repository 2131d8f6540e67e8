# in:  reports/<run>/tables/*.csv, data summaries, an example from the gallery, certificates.parquet
# out: reports/<run>/summary.pdf, two A4 pages
# The rules that make the page's figures and tables also make those for papers (figures/<name>.pdf, tables/<name>.tex).

CONFIGURATION = f"config/{RUN}.yaml"


rule summary:
    input:
        **with_records(
            main=MAIN_TABLE,
            measurements=f"{TABLES}/measurements.csv",
            claims=f"{TABLES}/claims.csv",
            summaries=of_each_dataset(DATA_SUMMARY),
            manifests=MANIFESTS,
            example=f"{EXAMPLE}.png".format(dataset=DATASETS[0]),
            caption=f"{EXAMPLE}.txt".format(dataset=DATASETS[0]),
            certificates=TABLE,
            also=lambda: records_of(made_before_the_report()),
        ),
    output:
        *with_record(shown(SUMMARY, "summary", "Paper", "Summary", document="summary of two pages", format="PDF")),
    log:
        logs(f"{RUN}/summary"),
    benchmark:
        benchmarks(f"{RUN}/summary")
    conda:
        software("report")
    resources:
        **needs(),
    params:
        **tracked("summary"),
        run=RUN,
        configuration=CONFIGURATION if (SOURCE / CONFIGURATION).exists() else None,
        recorded=made_before_the_report(),
        template=templates("summary.typ"),
    script:
        "../scripts/summary.py"
