"""What a crate contains of a run, what it only describes, and the identifier of each.

Contained are the files that jobs declare as their outputs: models, votes, certificates, tables, the report, and what
names the images (index, splits). Archives, prepared images and denoised examples are images of patients that several
data sets do not allow to be handed on: a crate names them by their digest.
"""

import base64
import dataclasses
import functools
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from segcert.provenance.code import syntax_digest
from segcert.provenance.digests import file_digest, value_digest
from segcert.provenance.lineage import Job, Lineage

SOFTWARE = ("Snakefile", "LICENSE", "CITATION.cff", "pyproject.toml")
SOFTWARE_FOLDERS = ("rules", "scripts", "config", "envs", "profiles", "reports/captions")


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
    def files(self) -> dict[str, str]:
        """SHA-256 of the files of the run that are contained, by path."""
        outputs = {path: sha256 for job in self.lineage.jobs for path, sha256 in job.outputs.items()}
        return {path: sha256 for path, sha256 in outputs.items() if not self._shows_images(path)}

    @functools.cached_property
    def groups(self) -> list[Group]:
        """Prepared images and masks, and loose files of raw data, by data set."""
        return [
            *(
                Group("prepared images and masks", job.record["wildcards"]["dataset"], job.holds)
                for job in self.lineage.jobs
                if job.holds and job.rule.startswith("prepare")
            ),
            *(
                Group("raw files", dataset, loose)
                for dataset, manifest in self.manifests.items()
                if (loose := self._raw(dataset, manifest["files"]))
            ),
        ]

    @functools.cached_property
    def manifests(self) -> dict[str, dict[str, Any]]:
        """What data/raw/<dataset>/manifest.json says, by data set."""
        paths = {job.record["wildcards"].get("dataset"): path for job in self.lineage.jobs for path in job.outputs
                 if path.startswith("data/raw/") and path.endswith("/manifest.json")}  # fmt: skip
        return {str(dataset): json.loads((self.lineage.root / path).read_text()) for dataset, path in paths.items()}

    @functools.cached_property
    def cards(self) -> dict[str, dict[str, Any]]:
        """What data/prepared/<dataset>/dataset.json says, by data set."""
        paths = [path for path in self.files if path.startswith("data/prepared/") and path.endswith("/dataset.json")]
        return {path.split("/")[2]: json.loads((self.lineage.root / path).read_text()) for path in paths}

    @functools.cached_property
    def archives(self) -> dict[str, dict[str, Any]]:
        """What was found (bytes, sha256, official) and published (url, page) of each archive, by path."""
        known = {}
        for dataset, manifest in self.manifests.items():
            published = self.cards[dataset]["archives"]
            for entry in manifest["archives"]:
                same = [
                    each for each in published if each["name"] == entry["name"] or each["sha256"] == entry["sha256"]
                ]
                known[f"data/raw/{dataset}/{entry['name']}"] = (same[0] if same else {}) | entry
        return known

    @functools.cached_property
    def described(self) -> dict[str, str]:
        """SHA-256 of single files that are not contained, by path: archives, sources, denoised examples."""
        outside = {path: sha256 for job in self.lineage.jobs for path, sha256 in (job.outputs | job.holds).items()}
        grouped = {path for group in self.groups for path in group.files}
        return {
            path: sha256
            for path, sha256 in (outside | self.lineage.sources).items()
            if path not in grouped and path not in self.files
        }

    @functools.cached_property
    def identifiers(self) -> dict[str, str]:
        """The @id of every file of the run, by path; files of a group share one.

        An archive that is the official release goes by its address; other files that are not contained by their digest.
        """
        single = {path: self._address(path) or digest_uri(sha256) for path, sha256 in self.described.items()}
        grouped = {path: group.identifier for group in self.groups for path in group.files}
        return {path: quote(path) for path in self.files} | single | grouped

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
        made = {path: sha256 for job in self.lineage.jobs for path, sha256 in (job.outputs | job.holds).items()}
        for job in self.lineage.jobs:
            _require_digests(job)
            for path, sha256 in job.inputs.items():
                if made.get(path, sha256) != sha256:
                    raise CrateError(f"{path}: was made again after {job.name} read it; run snakemake first")
        for path, sha256 in self.files.items():
            found = file_digest(root / path) if (root / path).is_file() else "nothing"
            if found != sha256:
                raise CrateError(
                    f"{root / path}: found {found}, expected SHA-256 {sha256}, which its job made; "
                    "dvc checkout brings it back, or delete it and run snakemake"
                )

    def later_code(self, job: Job) -> list[str]:
        """Files of the code that a job ran which the sources, and so the crate, hold otherwise or not at all."""
        scripts = self.software / "scripts"
        return [
            f"scripts/{name}" for name, digest in job.record["code"].items() if self._syntax(scripts / name) != digest
        ]

    @functools.cached_property
    def _digests_of_code(self) -> dict[Path, str | None]:
        return {}

    def _syntax(self, path: Path) -> str | None:
        known = self._digests_of_code
        if path not in known:
            known[path] = syntax_digest(path.read_bytes(), path.name) if path.is_file() else None
        return known[path]

    def _address(self, path: str) -> str | None:
        archive = self.archives.get(path, {})
        return archive.get("url") if archive.get("official") else None

    def _shows_images(self, path: str) -> bool:
        return path.startswith(f"results/{self.lineage.run}/denoised/")

    def _raw(self, dataset: str, names: dict[str, str]) -> dict[str, str]:
        """Loose raw files by path: a manifest names those of a release within its folder, one's own by their paths."""
        folder = f"data/raw/{dataset}"
        known = self.lineage.makers.keys() | self.lineage.sources.keys()
        return {(name if name in known else f"{folder}/{name}"): sha256 for name, sha256 in names.items()}


def _require_digests(job: Job) -> None:
    for path, sha256 in (job.inputs | job.outputs | job.holds).items():
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise CrateError(f"{job.path}: says {sha256!r} of {path}; expected a SHA-256. The record was edited")


def digest_uri(sha256: str) -> str:
    """The `ni` URI of contents (RFC 6920) by their SHA-256 in hexadecimal."""
    return "ni:///sha-256;" + base64.urlsafe_b64encode(bytes.fromhex(sha256)).decode().rstrip("=")
