# Runs whose files are in a bucket: `--default-storage-provider s3 --default-storage-prefix s3://bucket/path`
# (docs/how-to/s3.md). Without a bucket, this file has no effect, and the rules keep their inputs and outputs.
# With a bucket, a job may start in an empty folder. Each file is therefore stored with the run record of the job that
# made it, and with the extra outputs of that job (images, archives), packed in one file.

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
        """Return the bucket object that stores a file of the run."""
        return PROVIDER.object(f"{PREFIX}/{path}")

    # Replace Snakemake's download folder for the bucket's files with a link to the working directory. Scripts, records,
    # DVC and audits then find these files under the same paths as in a run without a bucket.
    COPIES = stored("x").local_path().parent
    try:
        lead_here(COPIES)
    except BucketError as error:
        raise WorkflowError(str(error)) from None

    config["bucket"] = PREFIX  # scripts/version.py reads it

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
    """Return a rule's outputs. With a bucket, add the run record and, if `packed`, the packed extra outputs."""
    outputs = list(files)
    if STORED:
        outputs.append(f"{files[0]}{SUFFIX}")
        if packed:
            outputs.append(f"{files[0]}{PACKED}")
    return outputs


def named_with_record(**files):
    """Return a rule's outputs by name. With a bucket, add the run record next to the first output."""
    first, *_ = strings(files)
    return {**files, "record": f"{first}{SUFFIX}"} if STORED else files


def with_records(*, also=list, **files):
    """Return a rule's inputs by name. With a bucket, add their sidecars and the files that `also` returns.

    Of the added inputs, the run records come first. All added inputs are `ancient`: they never make a job stale.
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
    """Return the path of a file in the run. `path` is this path, or the path of Snakemake's copy of the file."""
    return str(path).removeprefix(f"{COPIES}/") if STORED else str(path)


def maker(path):
    """Return the rule that makes a file and the wildcards of the job, or None for a file that no rule makes."""
    copy = f"{COPIES}/{path}"
    for each in workflow.rules:
        if each.benchmark and each.is_producer(copy):
            return each, each.get_wildcards(copy)
    return None


@cache
def made_with(path):
    """Return all outputs of the job that makes a file, including the sidecars."""
    made = maker(path)
    return [plain(pattern.apply_wildcards(made[1])) for pattern in made[0].output] if made else []


def all_of(artifacts):
    """Return all outputs of the jobs that make the given artifacts."""
    return [each for path in artifacts for each in made_with(path)]


def records_of(paths):
    """Return the sidecars of files: run records, and all outputs of jobs that pack extra outputs."""
    sidecars = []
    for files in map(made_with, paths):
        sidecars += [each for each in files if each.endswith(SUFFIX) or files[-1].endswith(PACKED)]
    return sidecars


def benchmark_of(path):
    """Return the path of the benchmark file of the job that makes a file."""
    its, wildcards = maker(path)
    return plain(its.benchmark.apply_wildcards(wildcards))


def leave_records():
    """Store Snakemake's records of the run in the bucket, so that a different machine can resume the run."""
    if not STORED:
        return
    pack_records(SNAKEMAKE_RECORDS, PREFIX)
    try:
        asyncio.run(stored(SNAKEMAKE_RECORDS).managed_store())
    except WorkflowError as error:
        logger.warning(f"Snakemake's records were not stored in the bucket, so resume this run in this folder: {error}")
    Path(SNAKEMAKE_RECORDS).unlink()
