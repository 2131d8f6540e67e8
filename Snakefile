# segcert: certified robustness for medical image segmentation
# The default run uses the embedded phantom. For a different run: snakemake --configfile config/montgomery.yaml

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/default.yaml"


report: "reports/captions/workflow.rst"


container: "envs/segcert.sif"  # for `--sdm apptainer` (docs/how-to/environments.md)


include: "rules/common.smk"
include: "rules/paths.smk"
include: "rules/bucket.smk"
include: "rules/functions.smk"
include: "rules/captions.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/cards.smk"
include: "rules/sample.smk"
include: "rules/certify.smk"
include: "rules/pictures.smk"
include: "rules/report.smk"
include: "rules/paper.smk"
include: "rules/page.smk"
include: "rules/compare.smk"
include: "rules/provenance.smk"


rule all:
    default_target: True
    input:
        PAGE,
        "data.dvc",
        "models.dvc",
        "results.dvc",


onsuccess:
    if any(str(path).endswith(PAGE) for job in workflow.dag.jobs for path in job.output):
        print(*ending(RUN, PAGE, check=command(workflow.dag_settings.targets, first="audit")), sep="\n")
    leave_records()


onerror:
    print(*how_to_resume(LOG), sep="\n", file=sys.stderr)
    leave_records()
