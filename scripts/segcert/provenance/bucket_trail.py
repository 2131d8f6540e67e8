"""Snakemake's records of a run in a bucket, as one file in the bucket.

The files of the run and their times are the same for every machine that works on it; what Snakemake knows of how they
were made (`.snakemake/metadata`) lies on the machine that planned them. Left in the bucket at the end of each run, and
taken up before each plan, it tells every machine what is stale.
"""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segcert.progress import log
from segcert.provenance.atomic import atomic_file
from segcert.provenance.bucket import PACKED, pack_files
from segcert.provenance.contents import find_records
from segcert.provenance.records import SUFFIX, RecordError
from segcert.provenance.trail import METADATA, artifact_of

NAME = "snakemake-records.tar"  # in the bucket, beside data, models, results and reports


def pack_records(path: str | Path, bucket: str, root: str | Path = ".") -> None:
    """Pack what Snakemake knows here of the files of a bucket (`s3://bucket/path`)."""
    metadata = Path(root, METADATA)
    files = {
        file.relative_to(metadata).as_posix(): file
        for file in metadata.rglob("*")
        if file.is_file() and artifact_of(file.relative_to(metadata)).startswith(f"{bucket}/")
    }
    pack_files(path, files)


def take_up_records(path: str | Path, bucket: str, root: str | Path = ".") -> int:
    """Take up the records of `pack_records` that are newer than this machine's own; return how many."""
    taken = 0
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            code = Path(member.name)
            if content is None or code.is_absolute() or ".." in code.parts:
                continue
            text = content.read()
            own = Path(root, METADATA, code)
            if artifact_of(code).startswith(f"{bucket}/") and _ended(text) > _ended(
                own.read_bytes() if own.exists() else b""
            ):
                with atomic_file(own) as temporary:
                    temporary.write_bytes(text)
                taken += 1
    return taken


def without_bucket(bucket: str, copies: str) -> Callable[[str, bytes], tuple[str, bytes] | None]:
    """What `pack_trail` needs so that a run of the same files without a bucket finds nothing to be done.

    `bucket` is what names in the bucket begin with, `copies` the folder where Snakemake keeps copies of them. What
    travels with the inputs of a job is left out.
    """

    records = [record for _, record in find_records() if not isinstance(record, RecordError)]
    inputs = {artifact: record["inputs"] for record in records for artifact in record["outputs"]}

    def translate(name: str, text: bytes) -> tuple[str, bytes] | None:
        if not name.startswith(f"{bucket}/"):
            return None
        artifact = name.removeprefix(f"{bucket}/")
        record = json.loads(text.decode().replace(f"{bucket}/", "").replace(f"{copies}/", ""))
        read = inputs.get(artifact, {})
        record["input"] = [path for path in record["input"] if path in read or not (read or _travels(path))]
        checksums = {path: f"sha256:{sha256}" for path, sha256 in read.items()} or record["input_checksums"]
        record["input_checksums"] = {path: checksums[path] for path in record["input"] if path in checksums}
        return artifact, json.dumps(record).encode()

    return translate


def _travels(path: str) -> bool:
    return path.endswith((SUFFIX, PACKED))


def _ended(record: bytes) -> float:
    """When the job of one of Snakemake's records ended, in seconds since 1970; -1 for none."""
    try:
        values: dict[str, Any] = json.loads(record) if record else {}
        return float(values.get("endtime") or -1)
    except (AttributeError, TypeError, ValueError) as error:
        log.warning("a record of Snakemake's cannot be read (%s); it counts as none", error)
        return -1
