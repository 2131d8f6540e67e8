# A run whose files are in a bucket: `--default-storage-provider s3 --default-storage-prefix s3://bucket/path`
# (docs/how-to/s3.md). Nothing here happens in a run without one. The end of it: rules/companions.smk.

import asyncio
import json

from segcert.provenance.storage import GIT, SNAKEMAKE_RECORDS, BucketError, lead_here, pack_records, take_up_records
from segcert.provenance.git import git_state

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
            take_up_records(SNAKEMAKE_RECORDS, PREFIX)
            Path(SNAKEMAKE_RECORDS).unlink()

    envvars:
        GIT,

    def plain(path):
        """The name of a file in the run, whether or not it is said where Snakemake keeps it."""
        return str(path).removeprefix(f"{COPIES}/")

    without_storage = expand

    def expand(patterns, *arguments, **values):
        """Snakemake's expand, which refuses outputs of rules that are in a storage: their names are what is meant."""
        patterns = [patterns] if isinstance(patterns, (str, Path)) else patterns
        return without_storage(list(map(plain, patterns)), *arguments, **values)


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
