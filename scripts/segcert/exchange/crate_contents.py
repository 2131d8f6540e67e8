"""The files and data sets of a run in a crate: which it contains, which it only names, and the entity of each data set.

Contained are the files that jobs declare as their outputs: models, votes, certificates, tables, the report, and what
names the images (index, splits). Archives, prepared images and denoised examples are images of patients that several
data sets do not allow to be handed on: a crate names them by their digest.
"""

import base64
import dataclasses
import functools
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocrate.rocrate import ROCrate

from segcert.provenance.code import syntax_digest
from segcert.provenance.digests import file_digest, value_digest
from segcert.provenance.lineage import Job, Lineage

Entity = dict[str, Any]

OFFICIAL = {True: "The official release.", False: "Not the official release.", None: "No checksum was published."}


class CrateError(ValueError):
    """A run that is not finished, files that are not what their jobs made, or a folder that is in the way."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Files that are described together because they are many: SHA-256 by path. `title` says what they are."""

    title: str
    dataset: str
    files: dict[str, str]

    @property
    def identifier(self) -> str:
        """Names the JSON object of the files' SHA-256 by path, keys sorted, by its own SHA-256 (RFC 6920)."""
        return digest_uri(value_digest(self.files))


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a crate holds of a finished run, read from its lineage. `software`: where segcert's sources lie."""

    lineage: Lineage
    software: Path

    @functools.cached_property
    def made(self) -> dict[str, str]:
        """SHA-256 of all that the jobs made or found beside it, by path."""
        made: dict[str, str] = {}
        for job in self.lineage.jobs:
            made |= job.outputs | job.extra_outputs
        return made

    @functools.cached_property
    def files(self) -> dict[str, str]:
        """SHA-256 of the files of the run that are contained, by path."""
        images = f"results/{self.lineage.run}/denoised/"
        files: dict[str, str] = {}
        for job in self.lineage.jobs:
            files |= {path: sha256 for path, sha256 in job.outputs.items() if not path.startswith(images)}
        return files

    @functools.cached_property
    def groups(self) -> list[Group]:
        """Prepared images and masks, and loose files of raw data, by data set."""
        groups = []
        for job in self.lineage.jobs:
            if job.extra_outputs and job.rule.startswith("prepare"):
                groups.append(Group("prepared images and masks", job.record["wildcards"]["dataset"], job.extra_outputs))
        known = self.lineage.makers.keys() | self.lineage.sources.keys()
        for dataset, manifest in self.manifests.items():
            # A manifest names files of a release within its folder, those of a folder of one's own by their paths.
            loose = {}
            for name, sha256 in manifest["files"].items():
                loose[name if name in known else f"data/raw/{dataset}/{name}"] = sha256
            if loose:
                groups.append(Group("raw files", dataset, loose))
        return groups

    @functools.cached_property
    def manifests(self) -> dict[str, Entity]:
        """What data/raw/<dataset>/manifest.json says, by data set."""
        return self._read("data/raw/", "/manifest.json")

    @functools.cached_property
    def cards(self) -> dict[str, Entity]:
        """What data/prepared/<dataset>/dataset.json says, by data set."""
        return self._read("data/prepared/", "/dataset.json")

    def _read(self, top: str, name: str) -> dict[str, Entity]:
        paths = [path for path in self.files if path.startswith(top) and path.endswith(name)]
        return {path.split("/")[2]: json.loads((self.lineage.root / path).read_text()) for path in paths}

    @functools.cached_property
    def archives(self) -> dict[str, Entity]:
        """What was found (bytes, sha256, official) and published (url, page) of each archive, by path."""
        archives = {}
        for dataset, manifest in self.manifests.items():
            for entry in manifest["archives"]:
                path = f"data/raw/{dataset}/{entry['name']}"
                archives[path] = entry
                for published in self.cards[dataset]["archives"]:
                    if published["name"] == entry["name"] or published["sha256"] == entry["sha256"]:
                        archives[path] = published | entry
                        break
        return archives

    @functools.cached_property
    def described(self) -> dict[str, str]:
        """SHA-256 of single files that are not contained, by path: archives, sources, denoised examples."""
        others = {path for group in self.groups for path in group.files} | self.files.keys()
        everything = self.made | self.lineage.sources
        return {path: sha256 for path, sha256 in everything.items() if path not in others}

    @functools.cached_property
    def identifiers(self) -> dict[str, str]:
        """The @id of every file of the run, by path; files of a group share one.

        An archive that is the official release goes by its address; other files that are not contained by their digest.
        """
        identifiers = {path: quote(path) for path in self.files}
        for path, sha256 in self.described.items():
            archive = self.archives.get(path, {})
            address = archive.get("url") if archive.get("official") else None
            identifiers[path] = address or digest_uri(sha256)
        for group in self.groups:
            identifiers |= dict.fromkeys(group.files, group.identifier)
        return identifiers

    @functools.cached_property
    def page(self) -> Job:
        """The job that rendered the report."""
        return self.lineage.makers[f"reports/{self.lineage.run}/index.html"]

    def check(self) -> None:
        """Raise CrateError unless the run is finished and every contained file is what its job made."""
        root, run = self.lineage.root, self.lineage.run
        if f"reports/{run}/index.html" not in self.lineage.makers:
            raise CrateError(
                f"{root}/reports/{run}/index.html: no run record says how it was made; expected a finished run. "
                "Run snakemake first"
            )
        for job in self.lineage.jobs:
            for path, sha256 in (job.inputs | job.outputs | job.extra_outputs).items():
                if not re.fullmatch("[0-9a-f]{64}", sha256):
                    raise CrateError(
                        f"{job.path}: says {sha256!r} of {path}; expected a SHA-256. The record was edited"
                    )
            for path, sha256 in job.inputs.items():
                if self.made.get(path, sha256) != sha256:
                    raise CrateError(f"{path}: was made again after {job.name} read it; run snakemake first")
        for path, sha256 in self.files.items():
            found = file_digest(root / path) if (root / path).is_file() else "nothing"
            if found != sha256:
                raise CrateError(
                    f"{root / path}: found {found}, expected SHA-256 {sha256}, which its job made; "
                    "dvc checkout brings it back, or delete it and run snakemake"
                )

    def replaced_code(self, job: Job) -> list[str]:
        """Files of the code that a job ran which the sources, and so the crate, hold otherwise or not at all."""
        later = []
        for name, digest in job.record["code"].items():
            path = self.software / "scripts" / name
            if not path.is_file() or syntax_digest(path.read_bytes(), path.name) != digest:
                later.append(f"scripts/{name}")
        return later

    def add_data(self, crate: ROCrate) -> list[str]:
        """Describe the data sets and what the crate does not contain; return the @id of each data entity."""
        parts: dict[str, list[str]] = {name: [] for name in self.cards}
        for group in self.groups:
            crate.add_jsonld(self._describe_group(group))
            parts[group.dataset].append(group.identifier)
        others: list[str] = []
        for path in self.described:
            identifier = self.identifiers[path]
            if crate.get(identifier):
                continue  # the same bytes under another name
            maker = self.lineage.makers.get(path)
            dataset = str(maker.record["wildcards"].get("dataset", "")) if maker else ""
            entity = {"@id": identifier} | self._describe_file(path)
            if dataset in parts:
                entity |= _terms(dataset)
            crate.add_jsonld(entity)
            parts.get(dataset, others).append(identifier)
        for name, card in self.cards.items():
            _add_dataset(crate, name, card, parts[name])
        return [identifier for names in parts.values() for identifier in names] + others

    def _describe_group(self, group: Group) -> Entity:
        files = [self.lineage.root / path for path in group.files]
        entity = {
            "@id": group.identifier,
            "@type": "Dataset",
            "name": f"{group.dataset}: {len(group.files)} {group.title}",
            "description": "Not part of this crate. The identifier is the SHA-256 of the JSON object of the files' "
            "SHA-256 by path, with sorted keys; the run record of the job that made or read them lists them one by "
            "one.",
        }
        if all(file.is_file() for file in files):
            entity["contentSize"] = str(sum(file.stat().st_size for file in files))
        return entity | _terms(group.dataset)

    def _describe_file(self, path: str) -> Entity:
        """A file that is not contained; an archive names where it is published, and whether it is that very release."""
        file = self.lineage.root / path
        entity: Entity = {
            "@type": "File",
            "name": path if path in self.lineage.makers else Path(path).name,
            "sha256": self.described[path],
            "encodingFormat": "application/octet-stream",
            "description": "Not part of this crate; named by its SHA-256.",
        }
        if file.is_file():
            entity["contentSize"] = str(file.stat().st_size)
        if archive := self.archives.get(path):
            entity["description"] += f" {OFFICIAL[archive['official']]}"
            entity["contentSize"] = str(archive["bytes"])
            if address := archive.get("url") or archive.get("page"):
                entity["url"] = address
        return entity


def _add_dataset(crate: ROCrate, name: str, card: Entity, parts: list[str]) -> None:
    terms = _terms(name)
    licence, citation = terms["license"]["@id"], terms["citation"]["@id"]
    crate.add_jsonld({"@id": licence, "@type": "CreativeWork", "name": card["licence"], "description": card["terms"]})
    crate.add_jsonld({"@id": citation, "@type": "CreativeWork", "name": card["citation"]})
    folder = f"data/prepared/{quote(name)}"
    contained = [f"{folder}/{file}" for file in ("index.csv", "dataset.json", "splits.json", "left_out.csv")]
    entity = {
        "@id": f"#data/{quote(name)}",
        "@type": "Dataset",
        "name": card["title"],
        "description": f"{card['modality']}; classes {', '.join(card['classes'])}. Images are not part of this crate; "
        f"{folder}/index.csv lists them.",
        "hasPart": refs(contained + parts),
    }
    if pages := sorted({archive["page"] for archive in card["archives"]}):
        entity["url"] = one_or_many(pages)
    crate.add_jsonld(entity | terms)


def _terms(dataset: str) -> Entity:
    return {"license": ref(f"#licence/{quote(dataset)}"), "citation": ref(f"#citation/{quote(dataset)}")}


def digest_uri(sha256: str) -> str:
    """The `ni` URI of contents (RFC 6920) by their SHA-256 in hexadecimal."""
    return "ni:///sha-256;" + base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")


def ref(identifier: str) -> dict[str, str]:
    """A reference to an entity."""
    return {"@id": identifier}


def refs(identifiers: Iterable[str]) -> Any:
    """References to entities, each once."""
    return one_or_many([ref(identifier) for identifier in dict.fromkeys(identifiers)])


def one_or_many(values: list[Any]) -> Any:
    """A value as RO-Crate 1.1 wants it: a list only where there are several."""
    return values[0] if len(values) == 1 else values
