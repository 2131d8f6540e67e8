"""Sidecar files and Snakemake's records for runs whose files are in a bucket (Snakemake's storage plugins).

Snakemake fetches a job's inputs into a download folder. `lead_here` makes this folder a link to the working directory,
so that every file has the same path as in a run without a bucket. A job may start in an empty folder, so each input has
sidecar files. These are the run record of the job that made the input and, if that job made extra outputs (images,
archives), a tar file that contains them. Only runs in a bucket have sidecars (rules/bucket.smk). For other runs, this
module does nothing.

Snakemake's records of how files were made (`.snakemake/metadata`) are only on the machine that planned the run. At the
end of each run, they are therefore stored in the bucket as one file, and they are restored before each plan. Every
machine that works on the run then knows which files are stale.
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
GIT = "SEGCERT_GIT"  # environment variable: Git state of the machine that planned the run, as JSON
SNAKEMAKE_RECORDS = "snakemake-records.tar"  # in the bucket, next to data, models, results and reports


class BucketError(ValueError):
    """Error for a file that does not match its run record, or for a download folder that cannot be used."""


def lead_here(copies: str | Path, here: str | Path = ".") -> None:
    """Make `copies`, Snakemake's download folder for bucket files, a link to the working directory `here`.

    Raises BucketError if `copies` already exists and is not a link to the working directory.
    """
    link, here = Path(copies), Path(here).resolve()
    link.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        link.symlink_to(os.path.relpath(here, link.parent.resolve()))
    if link.resolve() != here:
        raise BucketError(
            f"{link}: found {link.resolve()}; expected a link to the run's folder, {here}. Delete it; its files are "
            "then fetched from the bucket again"
        )


@dataclasses.dataclass(frozen=True)
class Sidecars:
    """Sidecar files of a job whose files are in a bucket."""

    fetched: tuple[str, ...] = ()  # fetched with the inputs: run records, and tar files that contain extra outputs
    to_pack: Path | None = None  # tar file to write, for this job's extra outputs
    copies: Path | None = None  # Snakemake's download folder; None in a run without a bucket

    def unpack(self, inputs: list[str]) -> None:
        """Unpack the sidecar files of the inputs, and compare every file with the run record of the job that made it.

        A file that does not match its record is renamed to <file>.rejected, and BucketError is raised. The job's next
        attempt fetches the file again.
        """
        digests, wanted = DigestCache(), {*inputs, *self.fetched}
        records: dict[Path, dict[str, Any]] = {}
        for path in (Path(each) for each in self.fetched if each.endswith(SUFFIX)):
            try:
                record = records[path] = load_record(path)
            except RecordError as error:
                path.unlink(missing_ok=True)
                raise BucketError(f"{error}. The record was deleted, and the next attempt fetches it again") from error
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
                    f"{', '.join(wrong)}: the copy from the bucket differs from the file that the job made, "
                    f"according to {path}. The copy was renamed to *.rejected, and the next attempt fetches it again"
                )
        for packed in (path for path in self.fetched if path.endswith(PACKED)):
            record = records[Path(packed.removesuffix(PACKED) + SUFFIX)]
            unpack_extra_outputs(packed, record.get("holds", {}), digests)

    def pack(self, extra_outputs: Mapping[str, str]) -> None:
        """Pack a job's extra outputs into a tar file if the run's files are in a bucket.

        `extra_outputs` maps paths to SHA-256.
        """
        if self.to_pack:
            pack_files(self.to_pack, {name: name for name in extra_outputs})


def rename(job: Any) -> Sidecars:
    """Make a job's file paths relative to the working directory, and return the job's sidecars.

    The sidecars are removed from the job's lists of files.

    `job` is the `snakemake` object of a script.
    """
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
    fetched, made = (_remove_sidecars(files) for files in (job.input, job.output))
    to_pack = next((Path(path) for path in made if path.endswith(PACKED)), None)
    return Sidecars(tuple(fetched), to_pack, copies)


def strings(value: Any) -> list[str]:
    """Return all paths in nested lists and dicts.

    The inputs and outputs of rules may have this form.
    """
    if isinstance(value, str | Path):
        return [str(value)]
    found = []
    for inner in value.values() if isinstance(value, dict) else value:
        found += strings(inner)
    return found


def run_git_state() -> dict[str, Any]:
    """Return the Git state of this checkout or, outside a checkout, that of the machine that planned the job."""
    state = git_state()
    if state["commit"] is None and GIT in os.environ:
        planned: dict[str, Any] = json.loads(os.environ[GIT])
        return planned
    return state


def pack_files(path: str | Path, files: Mapping[str, str | Path]) -> None:
    """Write files to a tar file under the given names, sorted by name. The same files give a byte-identical result."""
    with atomic_file(path) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, source in sorted(files.items()):
            member = tarfile.TarInfo(name)
            with Path(source).open("rb") as file:
                member.size = os.fstat(file.fileno()).st_size
                archive.addfile(member, file)


def unpack_extra_outputs(path: str | Path, extra_outputs: Mapping[str, str], digests: DigestCache) -> None:
    """Unpack the extra outputs that are missing here, or that have a different SHA-256, from a tar file.

    `extra_outputs` maps paths to SHA-256. If the tar file lacks one of these outputs, the tar file is deleted and
    BucketError is raised.
    """

    def other() -> list[str]:
        return [
            name for name, sha256 in extra_outputs.items() if not Path(name).is_file() or digests.digest(name) != sha256
        ]

    missing = set(other())
    if not missing:
        return
    with contextlib.suppress(tarfile.TarError), tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name in missing and member.isreg() else None
            if content is not None:
                with atomic_file(member.name) as temporary, temporary.open("wb") as file:
                    shutil.copyfileobj(content, file)
    if wrong := sorted(other()):
        Path(path).unlink()
        raise BucketError(
            f"{path}: contains no copy of {', '.join(wrong[:3])} that matches the run record. The tar file was "
            "deleted, and the next attempt fetches it again"
        )


def _remove_sidecars(files: Any) -> list[str]:
    """Remove the sidecars from the end of a job's file list and return them. The first sidecar is a run record."""
    first = next((number for number, path in enumerate(files) if path.endswith((SUFFIX, PACKED))), len(files))
    sidecars = list(files[first:])
    del files[first:]
    return sidecars


def pack_records(path: str | Path, bucket: str, root: str | Path = ".") -> None:
    """Pack this machine's Snakemake records about files in a bucket (`s3://bucket/path`) into a tar file."""
    metadata = Path(root, METADATA)
    files = {
        file.relative_to(metadata).as_posix(): file
        for file in metadata.rglob("*")
        if file.is_file() and artifact_name(file.relative_to(metadata)).startswith(f"{bucket}/")
    }
    pack_files(path, files)


def newer_records(packed: str | Path, bucket: str, root: str | Path = ".") -> dict[str, bytes]:
    """Return the packed Snakemake records that are newer than those on this machine.

    The keys of the result are artifacts.
    """
    newer = dict[str, bytes]()
    with tarfile.open(packed) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            path = Path(member.name)
            if content is None or path.is_absolute() or ".." in path.parts:
                continue
            text = content.read()
            own = Path(root, METADATA, path)
            own_text = own.read_bytes() if own.exists() else b""
            if artifact_name(path).startswith(f"{bucket}/") and _end_time(text) > _end_time(own_text):
                newer[artifact_name(path)] = text
    return newer


def without_bucket(bucket: str, copies: str) -> Callable[[str, bytes], tuple[str, bytes] | None]:
    """Return a `translate` function for `pack_metadata` that adapts Snakemake's records to runs without a bucket.

    The function removes the bucket from all paths and leaves out the sidecars. A run without a bucket then finds the
    same files up to date.

    Parameters
    ----------
    bucket
        Prefix of the paths in the bucket.
    copies
        Snakemake's download folder for bucket files.
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
    """Return the end time of the job that a Snakemake record describes, in seconds since 1970.

    If the time is unknown, the result is -1.
    """
    try:
        values: dict[str, Any] = json.loads(record) if record else {}
        return float(values.get("endtime") or -1)
    except (AttributeError, TypeError, ValueError) as error:
        log.warning("one of Snakemake's records cannot be read (%s); this record is ignored", error)
        return -1
