"""The metadata of a crate: the root, the workflow, its files, who ran it, licences and citations.

RO-Crate 1.1 with the profiles Process, Workflow and Provenance Run Crate 0.5. Every date comes from the run records, so
that the same run gives the same metadata.
"""

import mimetypes
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from rocrate.rocrate import ROCrate

from segcert.exchange.crate_actions import WORKFLOW, Work, ref, refs
from segcert.exchange.crate_contents import SOFTWARE, SOFTWARE_FOLDERS, Contents
from segcert.exchange.crate_data import add_data
from segcert.provenance.digests import file_digest
from segcert.provenance.git import Agent, public_address

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
MIT = "https://spdx.org/licenses/MIT"
LOCK_FORMAT = "https://pip.pypa.io/en/stable/reference/requirements-file-format/"
FORMATS = {
    ".md": "text/markdown",
    ".npz": "application/zip",
    ".parquet": "application/vnd.apache.parquet",
    ".py": "text/x-python",
    ".smk": "text/x-python",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".toml": "application/toml",
    ".cff": "application/yaml",
    "": "text/plain",
}


def describe(contents: Contents, folder: Path, agent: Agent) -> ROCrate:
    """The metadata of the files that lie in `folder`, the crate to be, and of the run of `agent` that made them."""
    software = yaml.safe_load((folder / "CITATION.cff").read_text())
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    crate.metadata.extra_terms["buildInstructions"] = "https://codemeta.github.io/terms/buildInstructions"
    crate.add_jsonld({"@id": agent.identifier, "@type": "Person", "name": agent.name})
    work = Work(crate, contents, agent.identifier)
    _add_workflow(crate, work, folder, software)
    _add_files(crate, work, folder)
    data = add_data(crate, contents)
    for identifier in data:
        crate.root_dataset.append_to("hasPart", ref(identifier))
    actions = work.add()
    _add_root(crate, contents, software, actions)
    crate.root_dataset["author"] = ref(agent.identifier)
    return crate


def _add_root(crate: ROCrate, contents: Contents, software: dict[str, Any], actions: list[str]) -> None:
    for identifier, name in PROFILES.items():
        version = identifier.rsplit("/", 1)[1]
        crate.add_jsonld({"@id": identifier, "@type": "CreativeWork", "name": name, "version": version})
    crate.add_jsonld({
        "@id": MIT, "@type": "CreativeWork", "name": "MIT licence",
        "description": "Of the software and of what it made. The data sets have licences and terms of their own.",
    })  # fmt: skip
    paper = _add_paper(crate, software["preferred-citation"])
    datasets = contents.page.record["params"]["configuration"]["datasets"]
    root, run = crate.root_dataset, contents.lineage.run
    root["name"] = f"segcert run {run}"
    root["description"] = (
        f"A finished run of {software['title']}: workflow, configuration, run records, models, votes, certificates, "
        "tables and report. Archives and prepared images are described by their digests and are not contained; the "
        "report shows some images, for which the terms of their data sets hold."
    )
    root["datePublished"] = max(job.record["ended"] for job in contents.lineage.jobs)
    root["license"] = ref(MIT)
    root["conformsTo"] = refs(PROFILES)
    root["citation"] = refs([paper, *(f"#citation/{quote(name)}" for name in datasets)])
    root["about"] = refs(f"#data/{quote(name)}" for name in datasets)
    root["mentions"] = refs(actions)


def _add_workflow(crate: ROCrate, work: Work, folder: Path, software: dict[str, Any]) -> None:
    address = public_address(work.contents.software)
    crate.add_workflow(
        folder / WORKFLOW, WORKFLOW, main=True, lang="snakemake",
        properties={
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": software["title"],
            "description": software["abstract"],
            "version": str(software["version"]),
            "license": ref(MIT),
            "conformsTo": ref("https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"),
            "hasPart": refs(work.tools()),
            "step": refs(work.steps()),
            "buildInstructions": refs(_locks(folder)),
            **({"url": address} if address else {}),
            **_measured(folder / WORKFLOW),
        },
    )  # fmt: skip
    crate.add_jsonld({"@id": LOCK_FORMAT, "@type": "WebSite", "name": "Requirements file of pip, with hashes"})
    for path in work.tools():
        crate.add_file(
            folder / path, path,
            properties={
                "@type": ["File", "SoftwareSourceCode"],
                "name": Path(path).name,
                "version": str(software["version"]),
                "license": ref(MIT),
                "softwareRequirements": refs(work.packages(path)),
                **({"url": f"{address}/{path}"} if address else {}),
                **_measured(folder / path),
            },
        )  # fmt: skip


def _add_files(crate: ROCrate, work: Work, folder: Path) -> None:
    """The contained files of the run, their records, the configuration, PROV-JSON, and the folders of the software."""
    contents = work.contents
    page = f"reports/{contents.lineage.run}/index.html"
    table = f"results/{contents.lineage.run}/certificates.parquet"
    slots = {path: name for path, name in ((page, "report"), (table, "certificates")) if path in contents.files}
    for path, name in slots.items():
        slot = crate.add_formal_parameter(name, "File", f"#output/{name}")
        crate.mainEntity.append_to("output", slot, compact=True)
        _add_file(crate, folder, path, exampleOfWork=ref(slot.id))
    for path in contents.files:
        if path not in slots:
            _add_file(crate, folder, path)
    for job in contents.lineage.jobs:
        _add_file(crate, folder, job.path, name=f"Run record: {job.name}", about=ref(f"#job/{_artifact(job.path)}"))
    _add_file(crate, folder, "configuration.yaml", name="Configuration of the run")
    _add_file(crate, folder, "README.md", name="What this crate is", about=ref("./"))
    _add_file(crate, folder, "prov.json", name="Provenance of the run as PROV-JSON", about=ref("#run"))
    for path in _locks(folder):
        _add_file(crate, folder, path, name="Locked packages", conformsTo=ref(LOCK_FORMAT))
    for path in SOFTWARE:
        if path != WORKFLOW and (folder / path).exists():
            _add_file(crate, folder, path)
    for path in SOFTWARE_FOLDERS:
        if (folder / path).is_dir():
            crate.add_dataset(dest_path=f"{path}/", properties={"name": f"segcert: {path}", "license": ref(MIT)})


def _add_file(crate: ROCrate, folder: Path, path: str, **properties: Any) -> None:
    properties = {"name": path, **properties, **_measured(folder / path)}
    crate.add_file(folder / path, path, properties=properties)


def _measured(file: Path) -> dict[str, str]:
    kind = FORMATS.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return {"contentSize": str(file.stat().st_size), "sha256": file_digest(file), "encodingFormat": kind}


def _add_paper(crate: ROCrate, paper: dict[str, Any]) -> str:
    arxiv = next(each["value"] for each in paper["identifiers"] if each["value"].startswith("arXiv:"))
    identifier = f"https://arxiv.org/abs/{arxiv.removeprefix('arXiv:')}"
    crate.add_jsonld({
        "@id": identifier,
        "@type": "ScholarlyArticle",
        "name": paper["title"],
        "author": ", ".join(f"{each['given-names']} {each['family-names']}" for each in paper["authors"]),
        "isPartOf": paper["collection-title"],
        "datePublished": str(paper["year"]),
    })  # fmt: skip
    return identifier


def _locks(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted((folder / "envs").glob("lock-*.txt"))]


def _artifact(record: str) -> str:
    return quote(record.removesuffix(".record.json"))
