# in:  all parts of the report: tables, figures, galleries, parts of the viewer, data page, summary; run records
# out: reports/<run>/index.html
#      reports/<run>/tables/stages.csv, figures/stages.{svg,png}   time and memory of all earlier jobs
#      reports/<run>/checks.json, figures/lineage.{svg,png}   audit of all files that the page uses; their lineage

# Files that contain the parts of the viewer, by data set and name of the part
VIEWER_PARTS = {}
for dataset in DATASETS:
    VIEWER_PARTS[dataset, "images"] = f"{VIEWER}/images.js".format(dataset=dataset)
    for sigma in SIGMAS:
        VIEWER_PARTS[dataset, sigma] = f"{VIEWER}/sigma_{sigma}.js".format(dataset=dataset)
    for segmenter in SEGMENTERS:
        VIEWER_PARTS[dataset, segmenter] = f"{VIEWER}/{segmenter}.js".format(dataset=dataset)


def patterns_of_benchmarks():
    """Return each rule's benchmark path, with wildcards. It is not an input, so a missing file makes no job stale."""
    return {each.name: plain(getattr(rules, each.name).benchmark) for each in workflow.rules if each.benchmark}


rule check:  # audit all files from which the page is made; the page shows the result
    input:
        **with_records(tables=CSV_TABLES, also=lambda: all_of(made_before_the_report())),
    output:
        **named_with_record(checks=CHECKS, lineage=picture("lineage")),
    log:
        logs(f"{RUN}/check"),
    benchmark:
        benchmarks(f"{RUN}/check")
    priority: 1  # the longest job of a large report, so it starts first
    conda:
        software("networks")
    resources:
        **needs(4000, minutes=60),
    params:
        **tracked("check"),
        run=RUN,
    script:
        "../scripts/check.py"


rule stages:
    input:  # these files depend on every other job of the run, so this job comes after all of them
        **with_records(
            main=MAIN_TABLE,
            curves=[f"{FIGURES}/certified_dice.{suffix}" for suffix in ("svg", "png", "pdf")],
            pictures=of_each_dataset(f"{GALLERY}.png"),
            checks=CHECKS,
            data=DATA_PAGE,
            summary=SUMMARY,
            cards=ASKED.cards(),
            also=lambda: [*records_of(recorded_artifacts()), *map(benchmark_of, recorded_artifacts())],
        ),
    output:
        **named_with_record(table=table("stages"), figure=picture("stages")),
    log:
        logs(f"{RUN}/stages"),
    benchmark:
        benchmarks(f"{RUN}/stages")
    conda:
        software("report")
    resources:
        **needs(),
    params:
        **tracked("stages"),
        recorded=recorded_artifacts(),
        benchmarks=patterns_of_benchmarks(),
    script:
        "../scripts/stages.py"


rule page:
    input:
        **with_records(
            tables=[*CSV_TABLES, STAGES_TABLE],
            latex=[f"{TABLES}/{name}.tex" for name in IN_LATEX],
            seconds=of_each_dataset(SECONDS),
            curves=[f"{FIGURES}/{name}.svg" for name in ("headline", *CURVES, "stages", "lineage")],
            pictures=of_each_dataset(f"{GALLERY}.png"),
            captions=of_each_dataset(f"{GALLERY}.txt"),
            typical=expand(TYPICAL_IMAGES, dataset=DATASETS[:1]),
            typical_facts=of_each_dataset(f"{TYPICAL}.json"),
            viewer=list(VIEWER_PARTS.values()),
            checks=CHECKS,
            summaries=of_each_dataset(DATA_SUMMARY),
            manifests=MANIFESTS,
            artifacts=[*of_each_dataset(INDEX), *ASKED.weights()],
            certificates=TABLE,
            linked=[DATA_PAGE, SUMMARY],
            papers=[f"{FIGURES}/{name}.pdf" for name in CURVES],
            cards=ASKED.cards(),  # the page reads their run records
            also=lambda: records_of(recorded_artifacts()),
        ),
    output:
        *with_record(whole_page(PAGE, "results", "page")),
    log:
        logs(f"{RUN}/page"),
    benchmark:
        benchmarks(f"{RUN}/page")
    conda:
        software("report")
    resources:
        **needs(4000),
    params:
        **tracked("page"),
        configuration=CONFIG.model_dump(mode="json", exclude={"mirror", "device", "replay", "compare"}),
        viewer=list(VIEWER_PARTS),
        template=templates(
            *("base.html.j2", "notices.html.j2", "page.html.j2", "page_parts.html.j2", "page_provenance.html.j2"),
            *("viewer.html.j2", "page.css", "page.js", "viewer.js", "viewer_pictures.js"),
        ),
        recorded=recorded_artifacts(),
    script:
        "../scripts/page.py"
