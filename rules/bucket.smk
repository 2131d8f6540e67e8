# A run whose files are in a bucket: `--default-storage-provider s3 --default-storage-prefix s3://bucket/path`
# (docs/how-to/s3.md). In a run without one nothing here happens, and inputs and outputs are what the rules name.
# A job may begin in an empty folder, so with each file travels the run record of the job that made it and, packed in one
# file, what that job made beside its outputs (images, archives).

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
        """The object of the bucket that holds a file of the run."""
        return PROVIDER.object(f"{PREFIX}/{path}")

    # Where Snakemake keeps its copies of the bucket's files leads to this folder: they lie here under the names that
    # they have in a run without a bucket, so that scripts, records, DVC and audits know no other.
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
    """Outputs of a rule; in a bucket also the run record and, `packed`, what the job makes beside its outputs."""
    first = files[0]
    return [*files, *([f"{first}{SUFFIX}"] if STORED else []), *([f"{first}{PACKED}"] if STORED and packed else [])]


def named_with_record(**files):
    """Outputs of a rule by name; in a bucket also the run record, beside the first."""
    first, *_ = strings(files)
    return {**files, "record": f"{first}{SUFFIX}"} if STORED else files


def with_records(*, also=list, **files):
    """Inputs of a rule by name; in a bucket also what travels with them, and the files that `also` names: records first.

    Whether a job is stale is for the inputs alone that it has without a bucket: the rest is `ancient`.
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
    """The name of a file in the run, though Snakemake says where it keeps the copy of it."""
    return str(path).removeprefix(f"{COPIES}/") if STORED else str(path)


def maker(path):
    """The rule that makes a file of the run, and the wildcards that it makes it with; None for a file of the user's."""
    copy = f"{COPIES}/{path}"
    for each in workflow.rules:
        if each.benchmark and each.is_producer(copy):
            return each, each.get_wildcards(copy)
    return None


@cache
def made_with(path):
    """All outputs of the job that makes a file, what travels with them included."""
    made = maker(path)
    return [plain(pattern.apply_wildcards(made[1])) for pattern in made[0].output] if made else []


def all_of(artifacts):
    """Everything that the jobs made that made some artifacts."""
    return [each for path in artifacts for each in made_with(path)]


def records_of(paths):
    """What travels with files: run records; all of a job that packs files, whose readers look beside their input."""
    travels = []
    for files in map(made_with, paths):
        travels += [each for each in files if each.endswith(SUFFIX) or files[-1].endswith(PACKED)]
    return travels


def benchmark_of(path):
    """The benchmark file of the job that makes a file."""
    its, wildcards = maker(path)
    return plain(its.benchmark.apply_wildcards(wildcards))


def leave_records():
    """Leave what Snakemake knows of a run in a bucket there, for the machine that goes on with it."""
    if not STORED:
        return
    pack_records(SNAKEMAKE_RECORDS, PREFIX)
    try:
        asyncio.run(stored(SNAKEMAKE_RECORDS).managed_store())
    except WorkflowError as error:
        logger.warning(f"Snakemake's records could not be left in the bucket; go on from this checkout: {error}")
    Path(SNAKEMAKE_RECORDS).unlink()
