"""The trail travels with the artifacts: Snakemake's records, and the run records that pointers leave out.

Snakemake decides from `.snakemake/metadata` what is stale; a clone that pulls the artifacts has no such records
and would do everything again. So they are packed into results/.trail, which `results.dvc` covers, and taken up again
wherever it was pulled: for those artifacts whose content is what it was when the trail was packed. Of any other
artifact this checkout's own record stays; where it has none, the trail's says what the artifact should be, unless the
run record beside it says that a job made just this: then nobody knows with what settings, and the job runs again.
Run records hold times; data.dvc and models.dvc leave them out (.dvcignore) so that the same data and models give the
same pointers, and they are packed as well.
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
RESTORED = Path(".snakemake/trail.json")  # which trail this checkout has packed or taken up last, and what of it waits
POINTER = "results.dvc"  # points at the trail too, so what Snakemake knows of it cannot be in there
POINTERS = {"data.dvc": ("data/",), "models.dvc": ("models/",), POINTER: ("results/", "reports/")}
LONGEST = 255  # bytes of a file's name
PACKED = ("data", "models")  # folders whose pointers leave run records out


Translate = Callable[[str, bytes], tuple[str, bytes] | None]


def pack_metadata(root: str | Path = ".", translate: Translate | None = None) -> None:
    """Copy Snakemake's records of what is there, and the run records of data and models, to results/.trail.

    `translate` gives the artifact and the record to pack for those that are here; None for one that is passed over.
    """
    root, digests, contents = Path(root), DigestCache(root), dict[str, tuple[str, str, str]]()
    with atomic_folder(root / PACKED_METADATA) as new:
        for record in (path for top in PACKED for path in (root / top).rglob(f"*{SUFFIX}")):
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
    """What a trail that was pulled brings into a checkout.

    artifacts: those that were found as the trail knows them. metadata: Snakemake's records, by artifact. records: where
    the trail has run records, by the path where they belong. incomplete: by artifact, whether Snakemake is to take it
    for the work of a job that did not end. pointers: those that become newer than what they point at, as after the run
    that wrote them. note: the digest of the trail, and what of it waits; None where there is nothing to be noted.
    """

    artifacts: list[str] = dataclasses.field(default_factory=list)
    metadata: dict[str, bytes] = dataclasses.field(default_factory=dict)
    records: dict[str, Path] = dataclasses.field(default_factory=dict)
    incomplete: dict[str, bool] = dataclasses.field(default_factory=dict)
    pointers: list[str] = dataclasses.field(default_factory=list)
    note: tuple[str, dict[str, str | None]] | None = None

    def write(self, root: str | Path = ".") -> None:
        """Write it all where it belongs."""
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
    """Take up a trail that was pulled; return the artifacts that were found as it knows them."""
    taken = read_packed_metadata(root, DigestCache(root))
    taken.write(root)
    return taken.artifacts


def read_packed_metadata(root: str | Path, digests: DigestCache) -> RestoredMetadata:
    """What there is to be taken up of a trail. Writes nothing.

    What was not pulled yet waits for a later call, unless a job makes it here in the meantime. Pointers are touched
    unless some of what they point at is something else.
    """
    root = Path(root)
    if not (root / CONTENTS).exists():
        return RestoredMetadata()
    trail = file_digest(root / CONTENTS)
    waiting = _read_waiting(root, trail)
    if waiting == {}:
        return RestoredMetadata()
    contents, made_here = _read_contents(root), _recorded_digests(root)
    taken, left, other = RestoredMetadata(), dict[str, str | None](), set[str]()
    for name, (sha256, packed_sha256, packed) in contents.items():
        place = root / METADATA / metadata_path(name)
        own = file_digest(place) if place.exists() else None
        if waiting is not None and (name not in waiting or waiting[name] != own):
            continue  # taken before, or made here since
        digest = digests.digest(root / name) if (root / name).is_file() else None
        same = digest == sha256
        if digest and not same:
            other.add(name)
        if digest and not same and own is None and made_here.get(name) == digest:
            # by a job of which Snakemake's record is gone: nobody knows with what settings
            taken.incomplete[name] = True
        elif same or own is None:
            source = root / PACKED_METADATA / packed
            if source.is_file() and file_digest(source) == packed_sha256:
                taken.metadata[name] = source.read_bytes()
                own = packed_sha256
                if digest and packed_record(name, root).exists():
                    taken.records[record_path(name).as_posix()] = packed_record(name, root)
        if same and own == packed_sha256:
            taken.incomplete[name] = False
            taken.artifacts.append(name)
        else:
            left[name] = own
    taken.note = trail, left
    if taken.artifacts:
        taken.pointers = [pointer for pointer in _pointers_without(other) if (root / pointer).exists()]
    return taken


def _pointers_without(other: set[str]) -> list[str]:
    """The pointers that point at none of the artifacts `other`."""
    return [pointer for pointer, folders in POINTERS.items() if not any(name.startswith(folders) for name in other)]


def write_metadata(metadata: Mapping[str, bytes], root: str | Path = ".") -> None:
    """Write Snakemake's records, by artifact."""
    for name, record in metadata.items():
        with atomic_file(Path(root, METADATA, metadata_path(name))) as path:
            path.write_bytes(record)


def known_artifacts(root: str | Path = ".") -> frozenset[str]:
    """What jobs made, by Snakemake's records here and by those in the trail."""
    metadata = Path(root, METADATA)
    return frozenset(_read_contents(Path(root))) | {
        artifact_name(path.relative_to(metadata)) for path in _files(metadata)
    }


def packed_record(artifact: str | Path, root: str | Path = ".") -> Path:
    """Where the trail keeps the run record of an artifact whose pointer leaves it out."""
    return Path(root, PACKED_METADATA, "records", record_path(artifact))


def _read_contents(root: Path) -> dict[str, list[str]]:
    """What the trail says of each artifact (see the model `PackedMetadata`); nothing where there is none, or it is damaged."""
    from segcert.io.json_models import fit  # here: every job imports this module
    from segcert.provenance.models import PackedMetadata

    try:
        contents = fit(parse_json((root / CONTENTS).read_bytes()), PackedMetadata).root
        for name, (_, _, packed) in contents.items():
            if leads_out(name) or leads_out(packed) or Path(packed).parts[:1] != ("snakemake",):
                raise ValueError(f"it names files outside of itself: {name!r}, {packed!r}")
            if artifact_name(Path(packed).relative_to("snakemake")) != name:
                raise ValueError(f"{packed!r} is no record of {name!r}")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s: not a trail (%s); to bring it back: dvc checkout --force %s", CONTENTS, error, POINTER)
        return {}
    return contents


def _recorded_digests(root: Path) -> dict[str, str]:
    """SHA-256 of what jobs made, by the run records in place."""
    records = (record for _, record in find_records(root) if not isinstance(record, RecordError))
    return {name: sha256 for record in records for name, sha256 in record["outputs"].items()}


def _read_waiting(root: Path, trail: str) -> dict[str, str | None] | None:
    """Of a trail met before, the artifacts that wait, with the digest of their record of Snakemake; None: new."""
    try:
        noted: dict[str, Any] = parse_json((root / RESTORED).read_bytes())
        return noted["waiting"] if noted["trail"] == trail else None
    except (OSError, KeyError, TypeError, ValueError):
        return None


def _write_note(root: Path, trail: str, waiting: dict[str, str | None]) -> None:
    with atomic_file(root / RESTORED) as path:
        path.write_text(json.dumps({"trail": trail, "waiting": waiting}))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def artifact_name(code: Path) -> str:
    """The artifact that a file of Snakemake's records speaks of: Snakemake names it by the base64 of the path."""
    return urlsafe_b64decode("".join(part.removeprefix("@") for part in code.parts)).decode()


def metadata_path(artifact: str) -> Path:
    """Where in Snakemake's records an artifact stands; a long name goes over several folders."""
    code = urlsafe_b64encode(artifact.encode()).decode()
    parts = [code[start : start + LONGEST - 1] for start in range(0, len(code), LONGEST - 1)]
    return Path(*(f"@{part}" for part in parts[:-1]), *parts[-1:])


def _copy(source: Path, target: Path) -> None:
    with atomic_file(target) as temporary:
        shutil.copyfile(source, temporary)
