# in:  all of the report: tables, figures, galleries, parts of the viewer, data page, summary; run records
# out: reports/<run>/index.html
#      reports/<run>/tables/stages.csv, figures/stages.{svg,png}   time and memory of all jobs before
#      reports/<run>/checks.json, figures/lineage.{svg,png}   what the audit of all below the page found, and the way there


CSV_TABLES = [path for path in rules.tables.output if path.endswith(".csv")]


def recorded_artifacts():
    """An output of every job of the run but stages and the page: what has a run record."""
    return [
        *made_before_the_report(),
        *expand(rules.pictures.output.images, dataset=CONFIG.datasets),
        rules.tables.output.main,
        rules.curves.output.headline[0],
        *expand(rules.look_at_data.output.summary, dataset=CONFIG.datasets),
        rules.data_page.output[0],
        rules.summary.output[0],
        rules.check.output.checks,
    ]


rule check:  # the audit of all that the page rests on, which the page shows
    input:
        CSV_TABLES,
    output:
        checks=f"{REPORT}/checks.json",
        lineage=picture("lineage"),
    log:
        f"logs/{RUN}/check.log",
    benchmark:
        f"logs/{RUN}/check.tsv"
    priority: 1  # the longest job of a large report, so it begins first
    conda:
        software("networks")
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        run=RUN,
        code=code("check"),
        environment=environment("check"),
    script:
        "../scripts/check.py"


def benchmarks():
    """Where the benchmark files of the rules stand, with wildcards. They are no inputs: without one nothing is stale."""
    return {rule.name: str(getattr(rules, rule.name).benchmark) for rule in workflow.rules if rule.benchmark}


rule stages:
    input:  # after every job of the run: each leads to one of these
        main=rules.tables.output.main,
        curves=rules.curves.output.certified_dice,
        pictures=expand(rules.pictures.output.gallery, dataset=CONFIG.datasets),
        checks=rules.check.output.checks,
        data=rules.data_page.output,
        summary=rules.summary.output,
        cards=cards(),
    output:
        table=table("stages"),
        figure=picture("stages"),
    log:
        f"logs/{RUN}/stages.log",
    benchmark:
        f"logs/{RUN}/stages.tsv"
    conda:
        software("report")
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=15,
    params:
        recorded=recorded_artifacts(),
        benchmarks=benchmarks(),
        code=code("stages"),
        environment=environment("stages"),
    script:
        "../scripts/stages.py"


rule page:
    input:
        tables=[*CSV_TABLES, rules.stages.output.table],
        latex=rules.tables.output.latex,
        seconds=expand(rules.measure_costs.output.seconds, dataset=CONFIG.datasets),
        curves=[f"{REPORT}/figures/{name}.svg" for name in ("headline", *CURVES, "stages", "lineage")],
        pictures=expand(rules.pictures.output.gallery, dataset=CONFIG.datasets),
        captions=expand(rules.pictures.output.caption, dataset=CONFIG.datasets),
        viewer=viewer_parts().values(),
        checks=rules.check.output.checks,
        summaries=expand(rules.look_at_data.output.summary, dataset=CONFIG.datasets),
        manifests=MANIFESTS,
        artifacts=[*expand(INDEX, dataset=CONFIG.datasets), *weights(), TABLE],
        beside=[rules.data_page.output, rules.summary.output],  # the page links to them
        papers=[f"{REPORT}/figures/{name}.pdf" for name in CURVES],
        cards=cards(),  # their records are read
    output:
        whole_page(PAGE, "results", "page"),
    log:
        f"logs/{RUN}/page.log",
    benchmark:
        f"logs/{RUN}/page.tsv"
    conda:
        software("report")
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=15,
    params:
        configuration=CONFIG.model_dump(mode="json", exclude={"mirror", "device", "replay", "compare"}),
        viewer=list(viewer_parts()),
        template=templates(
            "base.html.j2",
            "notices.html.j2",
            "page.html.j2",
            "page_parts.html.j2",
            "page_provenance.html.j2",
            "viewer.html.j2",
            "page.css",
            "page.js",
            "viewer.js",
            "viewer_pictures.js",
        ),
        recorded=recorded_artifacts(),
        code=code("page"),
        environment=environment("page"),
    script:
        "../scripts/page.py"
