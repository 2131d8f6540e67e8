# in:  reports/<run>/tables/*.csv, the summaries of the data, an example of the gallery, certificates.parquet
# out: reports/<run>/tables/{main,classes,pairings,measurements,attacks,denoisers,costs}.tex
#      reports/<run>/summary.pdf: two pages of A4
# The figures of papers, figures/<name>.pdf, are further outputs of the rules that draw them for the page.

TABLES = {
    **{
        name: rules.tables.output[name]
        for name in ("main", "claims", "classes", "pairings", "measurements", "radii", "attacks", "denoisers")
    },
    "costs": rules.costs.output.table,
}
CONFIGURATION = f"config/{RUN}.yaml"


def latex(name):
    """A table of the report in LaTeX."""
    return report(
        f"{REPORT}/tables/{name}.tex",
        caption="../reports/captions/latex.rst",
        category="Paper",
        subcategory="Tables",
        labels={"table": name, "format": "LaTeX"},
    )


rule latex:
    input:
        **TABLES,
    output:
        **{name: latex(name) for name in TABLES},
    log:
        f"logs/{RUN}/latex.log",
    benchmark:
        f"logs/{RUN}/latex.tsv"
    conda:
        software("report")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        titles={
            name: (
                about.title
                if not about.synthetic or "synthetic" in about.title.lower()
                else f"{about.title} (synthetic)"
            )
            for name, about in ABOUT.items()
        },
        template=templates("table.tex.j2"),
        code=code("latex"),
        environment=environment("latex"),
    script:
        "../scripts/latex.py"


rule summary:
    input:
        main=TABLES["main"],
        measurements=TABLES["measurements"],
        claims=TABLES["claims"],
        summaries=expand(rules.look_at_data.output.summary, dataset=CONFIG.datasets),
        manifests=MANIFESTS,
        example=expand(rules.gallery.output.example, dataset=CONFIG.datasets[:1])[0],
        caption=expand(rules.gallery.output.example_caption, dataset=CONFIG.datasets[:1])[0],
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
