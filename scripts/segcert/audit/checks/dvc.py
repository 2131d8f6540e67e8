"""Check that DVC's pointers match their folders, and that packed run records match those in the checkout."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import yaml
from pathspec import GitIgnoreSpec
from pydantic import RootModel

from segcert.audit.findings import Evidence, Finding, Findings, finding_unless
from segcert.io.json_files import parse_json
from segcert.io.json_models import Part, fit
from segcert.provenance.git import git
from segcert.provenance.lineage import Job
from segcert.provenance.records import SUFFIX, RecordError, load_record
from segcert.provenance.snakemake_metadata import CONTENTS, PACKED_METADATA, POINTERS, packed_record

CACHE = Path(".dvc/cache/files/md5")
AGAIN = "to version the present files: snakemake -R version_data version_models version_results"


def check_pointers(evidence: Evidence) -> Findings:
    """Check that each DVC pointer matches the files in its folder.

    For changed files of other runs, the findings are only notices.
    """
    exceptions = evidence.root / ".dvcignore"
    ignored = GitIgnoreSpec.from_lines(exceptions.read_text().splitlines() if exceptions.exists() else [])
    versioned = (evidence.root / CONTENTS).exists()  # the job that writes the pointers packs this file
    for pointer in (*POINTERS, f"reports/{evidence.lineage.run}.dvc"):
        if not (evidence.root / pointer).exists():
            lost = versioned or _committed(evidence.root, pointer) is not None
            message = f"is missing; {AGAIN}" if lost else "does not exist: this run is not versioned"
            yield Finding(pointer, message, broken=lost)
            continue
        try:
            yield from _pointer(evidence, pointer, ignored)
        except (KeyError, IndexError, RecursionError, TypeError, ValueError, yaml.YAMLError) as error:
            yield Finding(pointer, f"cannot be read; {AGAIN}", error=str(error))
            continue
        published = _committed(evidence.root, pointer) == (evidence.root / pointer).read_text().rstrip("\n")
        yield finding_unless(published, pointer, "is not committed: this run is not published", broken=False)


def check_packed_records(evidence: Evidence) -> Findings:
    """Check that run records match their packed copies, which are among the files of results.dvc."""
    for job in evidence.lineage.jobs:
        packed = packed_record(job.path.removesuffix(SUFFIX), evidence.root)
        same = not packed.exists() or packed.read_bytes() == (evidence.root / job.path).read_bytes()
        yield None if same else _differing_record(job, packed, f"{packed.relative_to(evidence.root)}")


def _differing_record(job: Job, before: Path, where: str) -> Finding:
    """Return a finding about a run record that differs from its versioned copy, `before`.

    The finding is a notice if the job has run again since then and made the same files.
    """
    try:
        record = load_record(before)
    except RecordError as error:
        return Finding(job.path, f"differs from {where}, which is not a run record; {AGAIN}", error=str(error))
    if record["outputs"] == job.outputs and record["ended"] < job.record["ended"]:
        message = f"is newer than {where}: its job ran again and made the same files; {AGAIN}"
        return Finding(job.path, message, broken=False)
    return Finding(job.path, f"differs from {where}: it was edited, or its files were made again since then; {AGAIN}")


def _pointer(evidence: Evidence, pointer: str, ignored: GitIgnoreSpec) -> Findings:
    stated = yaml.safe_load((evidence.root / pointer).read_text())["outs"][0]
    if stated["path"] != Path(pointer).stem or not isinstance(stated["md5"], str):
        raise ValueError(f"it points to {stated['path']!r}")
    folder = f"{Path(pointer).parent / stated['path']}"
    here = {}
    for place, _, names in os.walk(evidence.root / folder, followlinks=True):  # folders may be links to larger disks
        for name in names:
            path = Path(place, name).relative_to(evidence.root / folder).as_posix()
            if not ignored.match_file(f"{folder}/{path}"):
                here[path] = str(evidence.digests.md5(f"{folder}/{path}"))
    if _directory_digest(here) == stated["md5"]:
        yield from (None for _ in here)
        return
    there = _listing(evidence.root, stated["md5"])
    if there is None:
        yield Finding(pointer, f"does not match {folder}/, and DVC's cache lacks its list of files; {AGAIN}")
        return
    lineage = evidence.lineage
    records = {job.path: job for job in lineage.jobs}
    for path in sorted(here.keys() | there.keys()):
        file = f"{folder}/{path}"
        # The folder may contain other runs.
        own = file.startswith((f"results/{lineage.run}/", f"reports/{lineage.run}/", f"{PACKED_METADATA}/"))
        of_run = own or file in lineage.makers or file in records
        if here.get(path) == there.get(path):
            yield None
        elif path not in here:
            yield Finding(file, f"is missing, but {pointer} names it", broken=of_run)
        elif path not in there:
            yield Finding(file, f"is not in {pointer}; {AGAIN}", broken=of_run)
        elif file in records and _cached(evidence.root, there[path]).exists():
            yield _differing_record(records[file], _cached(evidence.root, there[path]), f"the one that {pointer} names")
        else:
            yield Finding(file, f"differs from the file that {pointer} names; {AGAIN}", broken=of_run)


def _directory_digest(files: dict[str, str]) -> str:
    """Return the name that DVC gives a folder: the MD5 of the list of its files, sorted by path."""
    listed = json.dumps([{"md5": files[path], "relpath": path} for path in sorted(files)])
    return f"{hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest()}.dir"


class Entry(Part):
    md5: str
    relpath: str


class Listing(RootModel[list[Entry]]):
    """List of the files in a folder, from DVC's cache."""


def _listing(root: Path, name: str) -> dict[str, str] | None:
    """Return the MD5 of each file in a folder, as listed in DVC's cache, or None if there is no valid list."""
    try:
        listing = fit(parse_json(_cached(root, name).read_bytes()), Listing)
    except (OSError, ValueError):
        return None
    files = {each.relpath: each.md5 for each in listing.root}
    return files if _directory_digest(files) == name else None


def _cached(root: Path, md5: str) -> Path:
    return root / CACHE / md5[:2] / md5[2:]


def _committed(root: Path, pointer: str) -> str | None:
    """Return the content of a pointer in the current commit, or None if the commit does not contain the pointer."""
    try:
        return git("show", f"HEAD:{pointer}", root=root)
    except (OSError, subprocess.CalledProcessError):
        return None
