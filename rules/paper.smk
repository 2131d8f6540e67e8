# in:  reports/<run>/tables/*.csv, the summaries of the data, an example of the gallery, certificates.parquet
# out: reports/<run>/summary.pdf: two pages of A4
# What papers take, figures/<name>.pdf and tables/<name>.tex, are further outputs of the rules that make them for the page.

CONFIGURATION = f"config/{RUN}.yaml"


rule summary:
    input:
        main=rules.tables.output.main,
        measurements=rules.tables.output.measurements,
        claims=rules.tables.output.claims,
        summaries=expand(rules.look_at_data.output.summary, dataset=CONFIG.datasets),
        manifests=MANIFESTS,
        example=expand(rules.pictures.output.example, dataset=CONFIG.datasets[:1])[0],
        caption=expand(rules.pictures.output.example_caption, dataset=CONFIG.datasets[:1])[0],
        certificates=TABLE,
    output:
        report(
            f"{REPORT}/summary.pdf",
            caption="../reports/captions/summary.rst",
            category="Paper",
            subcategory="Summary",
            labels={"document": "summary of two pages", "format": "PDF"},
        ),
    log:
        f"logs/{RUN}/summary.log",
    benchmark:
        f"logs/{RUN}/summary.tsv"
    conda:
        software("report")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        run=RUN,
        configuration=CONFIGURATION if (SOURCE / CONFIGURATION).exists() else None,
        recorded=made_before_the_report(),
        template=templates("summary.typ"),
        code=code("summary"),
        environment=environment("summary"),
    script:
        "../scripts/summary.py"
