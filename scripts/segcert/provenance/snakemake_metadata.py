"""Snakemake's metadata and run records, packed so that they are published and pulled with the artifacts.

Snakemake uses the records in `.snakemake/metadata` to decide which files are stale. A clone that pulls the artifacts
has no such records and would rerun everything. The records are therefore packed into a folder that `results.dvc` covers
(`PACKED_METADATA`), and restored after a pull:

- If an artifact is unchanged since its record was packed, the packed record is restored.
- If the artifact has changed and this checkout has its own Snakemake record of the artifact, that record is kept.
- If the artifact has changed and this checkout has no such record, the packed record is restored, because it describes
  the expected artifact. There is one exception. If the changed artifact matches its run record, a job made it here, but
  the settings of that job are unknown. The job therefore runs again.

data.dvc and models.dvc leave out run records (.dvcignore), because these contain times, and the two pointers should
depend only on the data and the models. The run records for data and models are therefore packed here too.
"""

import dataclasses
import json
import shutil
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segcert.io.atomic import atomic_file, atomic_folder
from segcert.io.json_files import leads_out, parse_json
from segcert.io.progress import log
from segcert.provenance.digests import DigestCache, file_digest
from segcert.provenance.records import SUFFIX, RecordError, record_path
from segcert.provenance.staleness import find_records

METADATA = Path(".snakemake/metadata")
INCOMPLETE = Path(".snakemake/incomplete")
PACKED_METADATA = Path("results/.trail")
CONTENTS = PACKED_METADATA / "contents.json"
RESTORED = Path(".snakemake/trail.json")  # the packed metadata last written or restored here, and pending artifacts
POINTER = "results.dvc"  # its record is not packed, because it also covers the packed metadata
POINTERS = {"data.dvc": ("data/",), "models.dvc": ("models/",), POINTER: ("results/", "reports/")}
LONGEST = 255  # maximum length of a file name, in bytes
WITHOUT_RECORDS = ("data", "models")  # folders whose pointers do not cover run records

Translate = Callable[[str, bytes], tuple[str, bytes] | None]


def pack_metadata(root: str | Path = ".", translate: Translate | None = None) -> None:
    """Copy Snakemake's records of existing artifacts, and the run records of data and models, to PACKED_METADATA.

    Parameters
    ----------
    root
        The checkout.
    translate
        Function that is called with the artifact and the content of each Snakemake record. It returns the artifact and
        the content to pack, or None to skip the record.
    """
    root, digests, contents = Path(root), DigestCache(root), dict[str, tuple[str, str, str]]()
    with atomic_folder(root / PACKED_METADATA) as new:
        for record in (path for top in WITHOUT_RECORDS for path in (root / top).rglob(f"*{SUFFIX}")):
            _copy(record, new / "records" / record.relative_to(root))
        for path in _files(root / METADATA):
            name, text = artifact_name(path.relative_to(root / METADATA)), path.read_bytes()
            if translate:
                name, text = translate(name, text) or ("", b"")
            packed = Path("snakemake", metadata_path(name))
            if (root / name).is_file() and name != POINTER and not leads_out(name):
                with atomic_file(new / packed) as temporary:
                    temporary.write_bytes(text)
                contents[name] = (digests.digest(root / name), file_digest(new / packed), packed.as_posix())
        (new / CONTENTS.name).write_text(json.dumps(dict(sorted(contents.items())), indent=1) + "\n")
    _write_note(root, file_digest(root / CONTENTS), {})


@dataclasses.dataclass
class RestoredMetadata:
    """Packed metadata to restore in a checkout.

    Attributes
    ----------
    artifacts
        Artifacts that are unchanged since their records were packed.
    metadata
        Dict that maps artifacts to Snakemake's records.
    records
        Run records to restore, as a dict. The keys are the paths to which they are restored, and the values are the
        paths of the packed run records.
    incomplete
        Dict that maps artifacts to Booleans. If the value is True, Snakemake must treat the artifact as the output of
        an unfinished job. If it is False, Snakemake must treat the artifact as finished.
    pointers
        Pointers whose modification time is set to the current time, because a pointer must be newer than its files.
    note
        Content of the file `RESTORED`: the digest of the packed metadata, and the pending artifacts. None leaves the
        file unchanged.
    """

    artifacts: list[str] = dataclasses.field(default_factory=list)
    metadata: dict[str, bytes] = dataclasses.field(default_factory=dict)
    records: dict[str, Path] = dataclasses.field(default_factory=dict)
    incomplete: dict[str, bool] = dataclasses.field(default_factory=dict)
    pointers: list[str] = dataclasses.field(default_factory=list)
    note: tuple[str, dict[str, str | None]] | None = None

    def write(self, root: str | Path = ".") -> None:
        """Restore the packed metadata in a checkout."""
        root = Path(root)
        write_metadata(self.metadata, root)
        for place, source in self.records.items():
            _copy(source, root / place)
        for name, incomplete in self.incomplete.items():
            if incomplete:
                with atomic_file(root / INCOMPLETE / metadata_path(name)) as path:
                    path.write_text(json.dumps({"external_jobid": None}))
            else:
                (root / INCOMPLETE / metadata_path(name)).unlink(missing_ok=True)
        for pointer in self.pointers:
            (root / pointer).touch()
        if self.note:
            _write_note(root, *self.note)


def restore_metadata(root: str | Path = ".") -> list[str]:
    """Restore packed metadata after a pull. Return the artifacts that are unchanged since their records were packed."""
    restored = read_packed_metadata(root, DigestCache(root))
    restored.write(root)
    return restored.artifacts


def read_packed_metadata(root: str | Path, digests: DigestCache) -> RestoredMetadata:
    """Find the packed metadata to restore, without writing anything.

    The record of an artifact that has not been pulled yet stays pending for a later call, unless a job makes the
    artifact here in the meantime. The result lists a pointer only if none of its files has changed.
    """
    root = Path(root)
    if not (root / CONTENTS).exists():
        return RestoredMetadata()
    pack = file_digest(root / CONTENTS)
    pending = _read_pending(root, pack)
    if pending == {}:
        return RestoredMetadata()
    contents, made_here = _read_contents(root), _recorded_digests(root)
    restored, still_pending, changed = RestoredMetadata(), dict[str, str | None](), set[str]()
    for name, (sha256, packed_sha256, packed) in contents.items():
        place = root / METADATA / metadata_path(name)
        own = file_digest(place) if place.exists() else None
        if pending is not None and (name not in pending or pending[name] != own):
            continue  # already restored, or made here since then
        digest = digests.digest(root / name) if (root / name).is_file() else None
        same = digest == sha256
        if digest and not same:
            changed.add(name)
        if digest and not same and own is None and made_here.get(name) == digest:
            # A job made the artifact here, but Snakemake's record of that job is gone, so its settings are unknown.
            restored.incomplete[name] = True
        elif same or own is None:
            source = root / PACKED_METADATA / packed
            if source.is_file() and file_digest(source) == packed_sha256:
                restored.metadata[name] = source.read_bytes()
                own = packed_sha256
                if digest and packed_record(name, root).exists():
                    restored.records[record_path(name).as_posix()] = packed_record(name, root)
        if same and own == packed_sha256:
            restored.incomplete[name] = False
            restored.artifacts.append(name)
        else:
            still_pending[name] = own
    restored.note = pack, still_pending
    if restored.artifacts:
        restored.pointers = [pointer for pointer in _pointers_without(changed) if (root / pointer).exists()]
    return restored


def _pointers_without(changed: set[str]) -> list[str]:
    """Return the DVC pointers that cover none of the changed artifacts."""
    return [pointer for pointer, folders in POINTERS.items() if not any(name.startswith(folders) for name in changed)]


def write_metadata(metadata: Mapping[str, bytes], root: str | Path = ".") -> None:
    """Write records to Snakemake's metadata folder. `metadata` maps each artifact to its record."""
    for name, record in metadata.items():
        with atomic_file(Path(root, METADATA, metadata_path(name))) as path:
            path.write_bytes(record)


def job_artifacts(root: str | Path = ".") -> set[str]:
    """Return the artifacts that jobs made, according to the Snakemake records in this checkout and the packed ones."""
    metadata = Path(root, METADATA)
    here = {artifact_name(path.relative_to(metadata)) for path in _files(metadata)}
    return here | _read_contents(Path(root)).keys()


def packed_record(artifact: str | Path, root: str | Path = ".") -> Path:
    """Return the path of an artifact's packed run record."""
    return Path(root, PACKED_METADATA, "records", record_path(artifact))


def _read_contents(root: Path) -> dict[str, list[str]]:
    """Return the index of packed records (model `PackedMetadata`), or an empty dict if it is missing or damaged."""
    # Imported here to save time: every job imports this module, but few jobs read packed metadata.
    from segcert.io.json_models import fit
    from segcert.provenance.models import PackedMetadata

    try:
        contents = fit(parse_json((root / CONTENTS).read_bytes()), PackedMetadata).root
        for name, (_, _, packed) in contents.items():
            if leads_out(name) or leads_out(packed) or Path(packed).parts[:1] != ("snakemake",):
                raise ValueError(f"{name!r} points to {packed!r}, which is outside the packed metadata")
            if artifact_name(Path(packed).relative_to("snakemake")) != name:
                raise ValueError(f"{name!r} points to {packed!r}, which is the record of a different file")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning(
            "%s: this file does not contain packed metadata (%s); to restore it: dvc checkout --force %s",
            CONTENTS,
            error,
            POINTER,
        )
        return {}
    return contents


def _recorded_digests(root: Path) -> dict[str, str]:
    """Return a dict with the SHA-256 of each artifact, according to the checkout's run records."""
    records = (record for _, record in find_records(root) if not isinstance(record, RecordError))
    return {name: sha256 for record in records for name, sha256 in record["outputs"].items()}


def _read_pending(root: Path, pack: str) -> dict[str, str | None] | None:
    """Return the digests of the records of pending artifacts, or None if the note is about other packed metadata.

    The keys of the result are artifacts.
    """
    try:
        noted: dict[str, Any] = parse_json((root / RESTORED).read_bytes())
        return noted["waiting"] if noted["trail"] == pack else None
    except (OSError, KeyError, TypeError, ValueError):
        return None


def _write_note(root: Path, pack: str, pending: dict[str, str | None]) -> None:
    with atomic_file(root / RESTORED) as path:
        path.write_text(json.dumps({"trail": pack, "waiting": pending}))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def artifact_name(record: Path) -> str:
    """Return the artifact that a Snakemake record describes. The record's name is the artifact's path in base64."""
    return urlsafe_b64decode("".join(part.removeprefix("@") for part in record.parts)).decode()


def metadata_path(artifact: str) -> Path:
    """Return the path of an artifact's record in Snakemake's metadata folder. A long name is split across folders."""
    code = urlsafe_b64encode(artifact.encode()).decode()
    parts = [code[start : start + LONGEST - 1] for start in range(0, len(code), LONGEST - 1)]
    return Path(*(f"@{part}" for part in parts[:-1]), *parts[-1:])


def _copy(source: Path, target: Path) -> None:
    with atomic_file(target) as temporary:
        shutil.copyfile(source, temporary)
