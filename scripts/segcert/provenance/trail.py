"""The trail travels with the artifacts: Snakemake's records, and the run records that pointers leave out.

Snakemake decides from `.snakemake/metadata` what is stale; a clone that pulls the artifacts has no such records
and would do everything again. So they are packed into results/.trail, which `results.dvc` covers, and taken up again
wherever it was pulled: for those artifacts whose content is what it was when the trail was packed, and for no others.
Run records hold times; data.dvc and models.dvc leave them out (.dvcignore) so that the same data and models give the
same pointers, and they are packed as well.
"""

import json
import shutil
from base64 import urlsafe_b64decode
from pathlib import Path

from segcert.provenance.atomic import atomic_file, atomic_folder
from segcert.provenance.digests import DigestCache, file_digest
from segcert.provenance.records import SUFFIX, record_path

METADATA = Path(".snakemake/metadata")
TRAIL = Path("results/.trail")
CONTENTS = TRAIL / "contents.json"
TAKEN = Path(".snakemake/trail")  # which trail this checkout has packed or taken up last
POINTERS = ("data.dvc", "models.dvc", "results.dvc")
PACKED = ("data", "models")  # folders whose pointers leave run records out


def pack_trail(root: str | Path = ".") -> None:
    """Copy Snakemake's records, and the run records of data and models, to results/.trail."""
    root, digests = Path(root), DigestCache(root)
    with atomic_folder(root / TRAIL) as new:
        shutil.copytree(root / METADATA, new / "snakemake")
        for record in (path for top in PACKED for path in (root / top).rglob(f"*{SUFFIX}")):
            copy = new / "records" / record.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(record, copy)
        artifacts = {_artifact(path, new / "snakemake"): path for path in _files(new / "snakemake")}
        contents = {
            name: [digests.digest(root / name), file_digest(path), path.relative_to(new).as_posix()]
            for name, path in sorted(artifacts.items())
            if (root / name).is_file()
        }
        (new / CONTENTS.name).write_text(json.dumps(contents, indent=1) + "\n")
    _take(root)


def unpack_trail(root: str | Path = ".") -> list[str]:
    """Take the records of a trail that was pulled; return the artifacts of which they were taken.

    The pointers become newer than what they point at, as after the run that wrote them.
    """
    root, digests = Path(root), DigestCache(root)
    if not (root / CONTENTS).exists() or _taken(root) == file_digest(root / CONTENTS):
        return []
    taken = []
    for name, (sha256, _, packed) in json.loads((root / CONTENTS).read_text()).items():
        if (root / name).is_file() and digests.digest(root / name) == sha256:
            record = record_path(name)
            _copy(root / TRAIL / packed, root / METADATA / Path(packed).relative_to("snakemake"))
            if (root / TRAIL / "records" / record).exists():
                _copy(root / TRAIL / "records" / record, root / record)
            taken.append(name)
    for pointer in filter(Path.exists, (root / name for name in POINTERS)):
        pointer.touch()
    _take(root)
    return taken


def packed_record(artifact: str | Path, root: str | Path = ".") -> Path:
    """Where the trail keeps the run record of an artifact whose pointer leaves it out."""
    return Path(root, TRAIL, "records", record_path(artifact))


def _taken(root: Path) -> str:
    return (root / TAKEN).read_text() if (root / TAKEN).exists() else ""


def _take(root: Path) -> None:
    with atomic_file(root / TAKEN) as path:
        path.write_text(file_digest(root / CONTENTS))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _artifact(path: Path, metadata: Path) -> str:
    """The artifact that a file of Snakemake's records speaks of: Snakemake names it by the base64 of the path."""
    code = "".join(part.removeprefix("@") for part in path.relative_to(metadata).parts)
    return urlsafe_b64decode(code).decode()


def _copy(source: Path, target: Path) -> None:
    with atomic_file(target) as temporary:
        shutil.copyfile(source, temporary)
