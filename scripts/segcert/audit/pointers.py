"""Do DVC's pointers name what lies in their folders, and do the records that travel agree with those in place?"""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml
from pathspec import GitIgnoreSpec

from segcert.audit.findings import Evidence, Finding, Findings, unless
from segcert.provenance.git import git
from segcert.provenance.records import RecordError, load_record
from segcert.provenance.trail import POINTERS, packed_record

CACHE = Path(".dvc/cache/files/md5")


def check_pointers(evidence: Evidence) -> Findings:
    """Each pointer names the files of its folder; differences in other runs of the folder are notices."""
    ignored = _ignored(evidence.root)
    for pointer in (*POINTERS, f"reports/{evidence.lineage.run}.dvc"):
        path = evidence.root / pointer
        if not path.exists():
            yield Finding(pointer, "is not here: this run is not versioned", broken=False)
            continue
        yield from _pointer(evidence, pointer, ignored)
        published = _committed(evidence.root, pointer)
        yield unless(published, pointer, "is not what the commit holds: this run is not published", broken=False)


def check_trail(evidence: Evidence) -> Findings:
    """The run records of data and models are those that were packed into results/.trail, which results.dvc covers.

    A job that ran after that and made the same again has a newer record: a notice.
    """
    for artifact, job in evidence.lineage.record_of.items():
        packed = packed_record(artifact, evidence.root)
        if not packed.exists() or packed.read_bytes() == (evidence.root / job.path).read_bytes():
            yield None
            continue
        where = packed.relative_to(evidence.root)
        try:
            before = load_record(packed)
        except RecordError as error:
            yield Finding(where.as_posix(), str(error))
            continue
        if before["outputs"] == job.outputs and before["ended"] < job.record["ended"]:
            words = f"is newer than {where}; `snakemake -R version_results` brings them together"
            yield Finding(job.path, words, broken=False)
        else:
            yield Finding(job.path, f"differs from {where}: it was edited, or its files were made again since")


def _pointer(evidence: Evidence, pointer: str, ignored: GitIgnoreSpec) -> Findings:
    stated = yaml.safe_load((evidence.root / pointer).read_text())["outs"][0]
    folder = f"{Path(pointer).parent / stated['path']}"
    here = {
        path: str(evidence.digests.md5(f"{folder}/{path}"))
        for path in _files(evidence.root / folder)
        if not ignored.match_file(f"{folder}/{path}")
    }
    if _directory_digest(here) == stated["md5"]:
        yield from (None for _ in here)
        return
    there = _listing(evidence.root, stated["md5"])
    if there is None:
        yield Finding(pointer, f"names another content than {folder}/ holds; which, DVC's cache does not say")
        return
    for path in sorted(here.keys() | there.keys()):
        if here.get(path) == there.get(path):
            yield None
            continue
        word = "lacks" if path not in here else "names nothing of" if path not in there else "names another"
        message = f"{folder}/ lacks {path}, which {pointer} names" if word == "lacks" else f"{pointer} {word} {path}"
        yield Finding(f"{folder}/{path}", message, broken=_is_of_run(evidence, f"{folder}/{path}"))


def _is_of_run(evidence: Evidence, path: str) -> bool:
    """Whether a file belongs to the audited run, and not to another one in the same folder."""
    lineage = evidence.lineage
    return (
        path in lineage.makers
        or path.startswith((f"results/{lineage.run}/", f"reports/{lineage.run}/"))
        or path in {job.path for job in lineage.jobs}
    )


def _files(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())


def _directory_digest(files: dict[str, str]) -> str:
    """How DVC names a folder: the MD5 of the list of its files, by path."""
    listed = sorted(({"md5": md5, "relpath": path} for path, md5 in files.items()), key=lambda each: each["relpath"])
    return f"{hashlib.md5(json.dumps(listed, sort_keys=True).encode(), usedforsecurity=False).hexdigest()}.dir"


def _listing(root: Path, name: str) -> dict[str, str] | None:
    """MD5 of the files of a folder as DVC's cache lists them; None without a list, or with one that is not its own."""
    path = root / CACHE / name[:2] / name[2:]
    if not path.exists():
        return None
    files = {each["relpath"]: each["md5"] for each in json.loads(path.read_bytes())}
    return files if _directory_digest(files) == name else None


def _ignored(root: Path) -> GitIgnoreSpec:
    path = root / ".dvcignore"
    return GitIgnoreSpec.from_lines(path.read_text().splitlines() if path.exists() else [])


def _committed(root: Path, pointer: str) -> bool:
    try:
        return git("show", f"HEAD:{pointer}", root=root) == (root / pointer).read_text().rstrip("\n")
    except (OSError, subprocess.CalledProcessError):
        return False
