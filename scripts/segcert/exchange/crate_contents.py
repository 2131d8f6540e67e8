"""Files and data sets that a crate contains or describes.

A crate contains the declared outputs of jobs: models, votes, certificates, tables, the report, and the image lists
(index, splits). It does not contain archives, prepared images or denoised examples, because several data sets do not
allow patient images to be redistributed. The crate identifies these files by their digests.
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
    """Error for an unfinished run, a file that changed after its job made it, or an unsuitable folder."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Files that a crate describes as a group, because they are numerous. `files` maps their paths to SHA-256."""

    title: str
    dataset: str
    files: dict[str, str]

    @property
    def identifier(self) -> str:
        """Identifier of the group (RFC 6920): the SHA-256 of `files`, written as a JSON object with sorted keys."""
        return digest_uri(value_digest(self.files))


@dataclasses.dataclass(frozen=True)
class Contents:
    """Contents of a crate, according to a run's lineage. `software` is the folder that contains segcert's sources."""

    lineage: Lineage
    software: Path

    @functools.cached_property
    def made(self) -> dict[str, str]:
        """Dict with the path and the SHA-256 of each file that the jobs made, including extra outputs."""
        made: dict[str, str] = {}
        for job in self.lineage.jobs:
            made |= job.outputs | job.extra_outputs
        return made

    @functools.cached_property
    def files(self) -> dict[str, str]:
        """Dict with the path and the SHA-256 of each file of the run that the crate contains."""
        images = f"results/{self.lineage.run}/denoised/"
        files: dict[str, str] = {}
        for job in self.lineage.jobs:
            files |= {path: sha256 for path, sha256 in job.outputs.items() if not path.startswith(images)}
        return files

    @functools.cached_property
    def groups(self) -> list[Group]:
        """Groups of files: for each data set, the prepared images and masks, and the raw files."""
        groups = []
        for job in self.lineage.jobs:
            if job.extra_outputs and job.rule.startswith("prepare"):
                groups.append(Group("prepared images and masks", job.record["wildcards"]["dataset"], job.extra_outputs))
        paths = self.lineage.makers.keys() | self.lineage.sources.keys()
        for dataset, manifest in self.manifests.items():
            # A manifest names released files relative to its folder, but user-supplied files by their actual paths.
            files = {}
            for name, sha256 in manifest["files"].items():
                files[name if name in paths else f"data/raw/{dataset}/{name}"] = sha256
            if files:
                groups.append(Group("raw files", dataset, files))
        return groups

    @functools.cached_property
    def manifests(self) -> dict[str, Entity]:
        """Dict that maps data sets to the contents of data/raw/<dataset>/manifest.json."""
        return self._read("data/raw/", "/manifest.json")

    @functools.cached_property
    def cards(self) -> dict[str, Entity]:
        """Dict that maps data sets to the contents of data/prepared/<dataset>/dataset.json."""
        return self._read("data/prepared/", "/dataset.json")

    def _read(self, top: str, name: str) -> dict[str, Entity]:
        paths = [path for path in self.files if path.startswith(top) and path.endswith(name)]
        return {path.split("/")[2]: json.loads((self.lineage.root / path).read_text()) for path in paths}

    @functools.cached_property
    def archives(self) -> dict[str, Entity]:
        """Dict that maps the path of each archive to its description.

        `bytes`, `sha256` and `official` describe the file that was found. `url` and `page` are the published addresses.
        """
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
        """Dict with the path and the SHA-256 of each file that the crate describes but does not contain.

        These are archives, files that no job made, and denoised examples.
        """
        others = {path for group in self.groups for path in group.files} | self.files.keys()
        everything = self.made | self.lineage.sources
        return {path: sha256 for path, sha256 in everything.items() if path not in others}

    @functools.cached_property
    def identifiers(self) -> dict[str, str]:
        """Dict that maps the path of every file of the run to its @id. All files in a group have the same @id.

        The @id of an official archive is its address. The @id of any other file outside the crate is its digest.
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
        """Job that rendered the report."""
        return self.lineage.makers[f"reports/{self.lineage.run}/index.html"]

    def check(self) -> None:
        """Raise CrateError unless the run is finished and all files for the crate are as their jobs made them."""
        root, run = self.lineage.root, self.lineage.run
        if f"reports/{run}/index.html" not in self.lineage.makers:
            raise CrateError(
                f"{root}/reports/{run}/index.html: has no run record; expected a finished run. Run snakemake first"
            )
        for job in self.lineage.jobs:
            for path, sha256 in (job.inputs | job.outputs | job.extra_outputs).items():
                if not re.fullmatch("[0-9a-f]{64}", sha256):
                    raise CrateError(
                        f"{job.path}: found {sha256!r} as the digest of {path}; expected a SHA-256. The record was "
                        "edited. To restore it: dvc checkout"
                    )
            for path, sha256 in job.inputs.items():
                if self.made.get(path, sha256) != sha256:
                    raise CrateError(
                        f"{path}: this file was made again after the job `{job.name}` read it, so the run is not up "
                        "to date. Run snakemake first"
                    )
        for path, sha256 in self.files.items():
            found = file_digest(root / path) if (root / path).is_file() else "nothing"
            if found != sha256:
                raise CrateError(
                    f"{root / path}: found {found}; expected {sha256}, the SHA-256 in the run record. To restore the "
                    "file: dvc checkout. To make it again: delete it and run snakemake"
                )

    def replaced_code(self, job: Job) -> list[str]:
        """Return a job's code files that are missing from the sources, or different in them.

        The crate contains the sources.
        """
        replaced = []
        for name, digest in job.record["code"].items():
            path = self.software / "scripts" / name
            if not path.is_file() or syntax_digest(path.read_bytes(), path.name) != digest:
                replaced.append(f"scripts/{name}")
        return replaced

    def add_data(self, crate: ROCrate) -> list[str]:
        """Describe the data sets and the files outside the crate, and return the @ids of all data entities."""
        parts: dict[str, list[str]] = {name: [] for name in self.cards}
        for group in self.groups:
            crate.add_jsonld(self._describe_group(group))
            parts[group.dataset].append(group.identifier)
        others: list[str] = []
        for path in self.described:
            identifier = self.identifiers[path]
            if crate.get(identifier):
                continue  # the same content under a different name
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
            "description": "Not part of this crate. The identifier is the SHA-256 of a JSON object that maps each path "
            "to the file's SHA-256, with sorted keys. The run record of the job that made or read these files lists "
            "each of them.",
        }
        if all(file.is_file() for file in files):
            entity["contentSize"] = str(sum(file.stat().st_size for file in files))
        return entity | _terms(group.dataset)

    def _describe_file(self, path: str) -> Entity:
        """Describe a file outside the crate. For an archive, state its address and whether it is official."""
        file = self.lineage.root / path
        entity: Entity = {
            "@type": "File",
            "name": path if path in self.lineage.makers else Path(path).name,
            "sha256": self.described[path],
            "encodingFormat": "application/octet-stream",
            "description": "Not part of this crate; identified by its SHA-256.",
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
    """Return the `ni` URI (RFC 6920) of a hexadecimal SHA-256."""
    return "ni:///sha-256;" + base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")


def ref(identifier: str) -> dict[str, str]:
    """Return a reference to an entity."""
    return {"@id": identifier}


def refs(identifiers: Iterable[str]) -> Any:
    """Return references to entities, without duplicates."""
    return one_or_many([ref(identifier) for identifier in dict.fromkeys(identifiers)])


def one_or_many(values: list[Any]) -> Any:
    """Return the value itself if there is only one, and the list otherwise, as RO-Crate 1.1 requires."""
    return values[0] if len(values) == 1 else values
