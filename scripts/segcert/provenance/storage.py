"""Jobs of a run whose files are in a bucket (Snakemake's storage plugins): what they bring along and leave.

Snakemake fetches the files that a job declares, to a folder of its own. That folder is made to lead to the working
directory (`lead_here`), so a file lies where it lies in a run without a bucket. A job may begin in an empty folder, so
with each input travels the run record of the job that made it and, where that job made files beside its outputs
(images, archives), one tar file of these. Only a run in a bucket has them (rules/bucket.smk); elsewhere all this does
nothing.

Snakemake's records of a run in a bucket, as one file in the bucket.

The files of the run and their times are the same for every machine that works on it; what Snakemake knows of how they
were made (`.snakemake/metadata`) lies on the machine that planned them. Left in the bucket at the end of each run, and
taken up before each plan, it tells every machine what is stale.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segcert.io.atomic import atomic_file
from segcert.io.progress import log
from segcert.provenance.digests import DigestCache
from segcert.provenance.git import git_state
from segcert.provenance.records import SUFFIX, RecordError, load_record
from segcert.provenance.snakemake_metadata import METADATA, artifact_name
from segcert.provenance.staleness import find_records

PACKED = ".held.tar"
GIT = "SEGCERT_GIT"  # environment variable: what git said where the run was planned


class BucketError(ValueError):
    """A file that is not what its run record says, or a folder of copies that cannot be used."""


def lead_here(copies: str | Path, here: str | Path = ".") -> None:
    """Make the folder where Snakemake keeps its copies of the bucket a link to the working directory.

    Raises BucketError if it is there and leads elsewhere.
    """
    link, here = Path(copies), Path(here).resolve()
    link.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        link.symlink_to(os.path.relpath(here, link.parent.resolve()))
    if link.resolve() != here:
        raise BucketError(
            f"{link}: has to be a link to {here}, where the files of a run in a bucket lie, and leads to "
            f"{link.resolve()}; delete it: what is in the bucket is fetched again"
        )


@dataclasses.dataclass(frozen=True)
class Sidecars:
    """What travels with the inputs of a job, and where to pack what it makes beside its outputs.

    `copies` is the folder where Snakemake keeps its copies of the bucket's files; None in a run without one.
    """

    brought: tuple[str, ...] = ()
    to_pack: Path | None = None
    copies: Path | None = None

    def unpack(self, inputs: list[str]) -> None:
        """Unpack what travelled with the inputs, and compare them all with the run records of the jobs that made them.

        What is not what its record says is put aside as <file>.rejected, to be fetched anew; raises BucketError.
        """
        digests, wanted = DigestCache(), {*inputs, *self.brought}
        records: dict[Path, dict[str, Any]] = {}
        for path in (Path(each) for each in self.brought if each.endswith(SUFFIX)):
            try:
                record = records[path] = load_record(path)
            except RecordError as error:
                path.unlink(missing_ok=True)
                raise BucketError(f"{error}; the next try fetches it anew") from error
            wrong = [
                name
                for name, sha256 in record["outputs"].items()
                if name in wanted and Path(name).is_file() and digests.digest(name) != sha256
            ]
            for name in wrong:
                os.replace(name, f"{name}.rejected")
            if wrong:
                path.unlink()
                raise BucketError(
                    f"{', '.join(wrong)}: the copy that came from the bucket is not what its job made (see {path}); it "
                    "was put aside as *.rejected, and the next try fetches it anew"
                )
        for packed in (path for path in self.brought if path.endswith(PACKED)):
            unpack_extra_outputs(
                packed, records[Path(packed.removesuffix(PACKED) + SUFFIX)].get("holds", {}), digests
            )

    def pack(self, extra_outputs: Mapping[str, str]) -> None:
        """Pack the files that a job made beside its outputs, by path, where they have to travel."""
        if self.to_pack:
            pack_files(self.to_pack, {name: name for name in extra_outputs})


def rename(job: Any) -> Sidecars:
    """Give the files of a job (a Snakemake `script` object) their names in this folder, and take its sidecars out."""
    above = Path(job.output[0]).parents if job.output else ()
    copies = next((parent for parent in above if parent.is_symlink() and parent.resolve() == Path.cwd()), None)
    if copies is None:
        return Sidecars()
    home = f"{copies}/"

    def here(path: str) -> str:
        return path.removeprefix(home)

    for kind in ("input", "output", "log"):
        files = getattr(job, kind)
        setattr(job, kind, type(files)(toclone=files, custom_map=here))
    brought, left = (_split_off(files) for files in (job.input, job.output))
    return Sidecars(
        brought=tuple(brought),
        to_pack=next((Path(path) for path in left if path.endswith(PACKED)), None),
        copies=copies,
    )


def strings(value: Any) -> list[str]:
    """The names of files in nested lists and dictionaries, as rules state inputs and outputs."""
    if isinstance(value, str | Path):
        return [str(value)]
    found = []
    for inner in value.values() if isinstance(value, dict) else value:
        found += strings(inner)
    return found


def run_git_state() -> dict[str, Any]:
    """`git_state`; of a job that runs in no checkout, that of the machine that planned it and sent it the code."""
    state = git_state()
    if state["commit"] is None and GIT in os.environ:
        planned: dict[str, Any] = json.loads(os.environ[GIT])
        return planned
    return state


def pack_files(path: str | Path, files: Mapping[str, str | Path]) -> None:
    """Write files to a tar file under the names given, in the order of these; the same files give the same bytes."""
    with atomic_file(path) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, source in sorted(files.items()):
            member = tarfile.TarInfo(name)
            with Path(source).open("rb") as file:
                member.size = os.fstat(file.fileno()).st_size
                archive.addfile(member, file)


def unpack_extra_outputs(path: str | Path, extra_outputs: Mapping[str, str], digests: DigestCache) -> None:
    """Write those files of a tar file that are not here as `extra_outputs` says (SHA-256 by path). Raises BucketError."""
    missing = {
        name for name, sha256 in extra_outputs.items() if not Path(name).is_file() or digests.digest(name) != sha256
    }
    if not missing:
        return
    with contextlib.suppress(tarfile.TarError), tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name in missing and member.isreg() else None
            if content is not None:
                with atomic_file(member.name) as temporary, temporary.open("wb") as file:
                    shutil.copyfileobj(content, file)
    wrong = [
        name for name in sorted(missing) if not Path(name).is_file() or digests.digest(name) != extra_outputs[name]
    ]
    if wrong:
        Path(path).unlink()
        raise BucketError(
            f"{path}: does not hold {', '.join(wrong[:3])} as the run record says; the next try fetches it anew"
        )


def _split_off(files: Any) -> list[str]:
    """Take the sidecars, which begin with a run record, off the end of a job's files; return them."""
    first = next((place for place, path in enumerate(files) if path.endswith((SUFFIX, PACKED))), len(files))
    sidecars = list(files[first:])
    del files[first:]
    return sidecars


SNAKEMAKE_RECORDS = "snakemake-records.tar"  # in the bucket, beside data, models, results and reports


def pack_records(path: str | Path, bucket: str, root: str | Path = ".") -> None:
    """Pack what Snakemake knows here of the files of a bucket (`s3://bucket/path`)."""
    metadata = Path(root, METADATA)
    files = {
        file.relative_to(metadata).as_posix(): file
        for file in metadata.rglob("*")
        if file.is_file() and artifact_name(file.relative_to(metadata)).startswith(f"{bucket}/")
    }
    pack_files(path, files)


def newer_records(path: str | Path, bucket: str, root: str | Path = ".") -> dict[str, bytes]:
    """The records of `pack_records` that are newer than this machine's own, by artifact."""
    newer = dict[str, bytes]()
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            code = Path(member.name)
            if content is None or code.is_absolute() or ".." in code.parts:
                continue
            text = content.read()
            own = Path(root, METADATA, code)
            own_text = own.read_bytes() if own.exists() else b""
            if artifact_name(code).startswith(f"{bucket}/") and _end_time(text) > _end_time(own_text):
                newer[artifact_name(code)] = text
    return newer


def without_bucket(bucket: str, copies: str) -> Callable[[str, bytes], tuple[str, bytes] | None]:
    """What `pack_metadata` needs so that a run of the same files without a bucket finds nothing to be done.

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
        record["input"] = [
            path for path in record["input"] if path in read or not (read or path.endswith((SUFFIX, PACKED)))
        ]
        checksums = {path: f"sha256:{sha256}" for path, sha256 in read.items()} or record["input_checksums"]
        record["input_checksums"] = {path: checksums[path] for path in record["input"] if path in checksums}
        return artifact, json.dumps(record).encode()

    return translate


def _end_time(record: bytes) -> float:
    """When the job of one of Snakemake's records ended, in seconds since 1970; -1 for none."""
    try:
        values: dict[str, Any] = json.loads(record) if record else {}
        return float(values.get("endtime") or -1)
    except (AttributeError, TypeError, ValueError) as error:
        log.warning("a record of Snakemake's cannot be read (%s); it counts as none", error)
        return -1
