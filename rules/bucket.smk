# A run whose files are in a bucket: `--default-storage-provider s3 --default-storage-prefix s3://bucket/path`
# (docs/how-to/s3.md). In a run without a bucket nothing here has an effect: inputs and outputs are those of the rules.
# A job may start in an empty folder. So each file comes with the run record of the job that made it and, packed in one
# file, with that job's extra outputs (images, archives).

import asyncio
import json
from functools import cache

from segcert.provenance.git import git_state
from segcert.provenance.records import SUFFIX
from segcert.provenance.storage import GIT, PACKED, SNAKEMAKE_RECORDS, BucketError
from segcert.provenance.storage import lead_here, newer_records, pack_records, strings

STORED = workflow.storage_settings is not None and workflow.storage_settings.default_storage_provider is not None

if STORED:
    PROVIDER = workflow.storage_registry.default_storage_provider
    PREFIX = (workflow.storage_settings.default_storage_prefix or "").rstrip("/")

    def stored(path):
        """Return the object of the bucket for a file of the run."""
        return PROVIDER.object(f"{PREFIX}/{path}")

    # Snakemake's folder for copies of the bucket's files becomes a link to this folder. The copies then have the same
    # paths as in a run without a bucket, for scripts, records, DVC and audits.
    COPIES = stored("x").local_path().parent
    try:
        lead_here(COPIES)
    except BucketError as error:
        raise WorkflowError(str(error)) from None

    config["bucket"] = PREFIX  # for scripts/version.py

    if workflow.is_main_process:
        os.environ[GIT] = json.dumps(git_state())
        records = stored(SNAKEMAKE_RECORDS)
        if asyncio.run(records.managed_exists()):
            asyncio.run(records.managed_retrieve())
            CHECKOUT.metadata |= newer_records(SNAKEMAKE_RECORDS, PREFIX)
            Path(SNAKEMAKE_RECORDS).unlink()

    envvars:
        GIT,

    localrules:
        version_data,
        version_models,
        version_results,
        record_folder,
        prepare_folder,
        push,


def with_record(*files, packed=False):
    """Return the outputs of a rule; in a bucket also the run record and, if `packed`, the packed extra outputs."""
    outputs = list(files)
    if STORED:
        outputs.append(f"{files[0]}{SUFFIX}")
        if packed:
            outputs.append(f"{files[0]}{PACKED}")
    return outputs


def named_with_record(**files):
    """Return the outputs of a rule by name; in a bucket also the run record of the first."""
    first, *_ = strings(files)
    return {**files, "record": f"{first}{SUFFIX}"} if STORED else files


def with_records(*, also=list, **files):
    """Return the inputs of a rule by name; in a bucket also their sidecars and the files of `also`, records first.

    Only the inputs that a job has without a bucket decide whether it is stale: the others are `ancient`.
    """

    def records(wildcards):
        own = []
        for value in files.values():
            if callable(value):
                own += strings(value(wildcards))
            else:
                own += [path.format(**wildcards) for path in strings(value)]
        others = dict.fromkeys(each for each in [*records_of(own), *also()] if each not in own)
        return [ancient(each) for each in sorted(others, key=lambda path: not path.endswith(SUFFIX))]

    return {**files, "records": records} if STORED else files


def plain(path):
    """Return the path of a file in the run, also for the path of Snakemake's copy of it."""
    return str(path).removeprefix(f"{COPIES}/") if STORED else str(path)


def maker(path):
    """Return the rule that makes a file of the run, and its wildcards; None for a file of the user."""
    copy = f"{COPIES}/{path}"
    for each in workflow.rules:
        if each.benchmark and each.is_producer(copy):
            return each, each.get_wildcards(copy)
    return None


@cache
def made_with(path):
    """Return all outputs of the job that makes a file, with their sidecars."""
    made = maker(path)
    return [plain(pattern.apply_wildcards(made[1])) for pattern in made[0].output] if made else []


def all_of(artifacts):
    """Return all outputs of the jobs that make these artifacts."""
    return [each for path in artifacts for each in made_with(path)]


def records_of(paths):
    """Return the sidecars of files: run records, and all outputs of a job that packs files, which its readers need."""
    sidecars = []
    for files in map(made_with, paths):
        sidecars += [each for each in files if each.endswith(SUFFIX) or files[-1].endswith(PACKED)]
    return sidecars


def benchmark_of(path):
    """Return the benchmark file of the job that makes a file."""
    its, wildcards = maker(path)
    return plain(its.benchmark.apply_wildcards(wildcards))


def leave_records():
    """Store Snakemake's records of a run in the bucket, for the machine that resumes the run."""
    if not STORED:
        return
    pack_records(SNAKEMAKE_RECORDS, PREFIX)
    try:
        asyncio.run(stored(SNAKEMAKE_RECORDS).managed_store())
    except WorkflowError as error:
        logger.warning(f"Snakemake's records were not stored in the bucket. Resume the run from this folder: {error}")
    Path(SNAKEMAKE_RECORDS).unlink()
