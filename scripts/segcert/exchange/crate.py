"""Pack a finished run as a Workflow Run RO-Crate: the run's files, the software, and metadata about both.

The format is RO-Crate 1.1 with the profiles Process Run Crate, Workflow Run Crate and Provenance Run Crate, version
0.5. All dates come from the run records, so packing a run again produces identical metadata.
"""

import mimetypes
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from rocrate.rocrate import ROCrate

from segcert.exchange.crate_actions import WORKFLOW, Work, action_id
from segcert.exchange.crate_contents import Contents, CrateError, ref, refs
from segcert.io.atomic import atomic_folder
from segcert.provenance.digests import file_digest
from segcert.provenance.git import find_author, public_address
from segcert.provenance.lineage import Lineage

CRATE = "ro-crate-metadata.json"
SOFTWARE = (WORKFLOW, "LICENSE", "CITATION.cff", "pyproject.toml")
SOFTWARE_FOLDERS = ("rules", "scripts", "config", "envs", "profiles", "reports/captions")
README = """# segcert: the run {run}

A finished run of segcert as an RO-Crate (Provenance Run Crate 0.5). `ro-crate-metadata.json` describes every file and
every job. `configuration.yaml` contains the configuration, and [reports/{run}/index.html](reports/{run}/index.html) is
the report. Archives and prepared images are identified by SHA-256 and are not included. The licences and terms of the
data sets apply to the images in the report.
"""
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


def write_crate(
    run: str, out: str | Path | None = None, root: str | Path = ".", software: str | Path | None = None
) -> Path:
    """Pack a run as an RO-Crate (Provenance Run Crate 0.5). The crate is written completely or not at all.

    Parameters
    ----------
    run
        Name of the run.
    out
        Folder for the crate. The default is reports/<run>.crate in `root`. An existing crate is replaced.
    root
        Folder that contains data/, models/, results/ and reports/.
    software
        Folder that contains segcert's Snakefile and scripts/. The default is `root`, which is correct for a checkout.

    Returns
    -------
    Path
        The crate folder. It contains ro-crate-metadata.json, configuration.yaml, the software, and the files in data/,
        models/, results/ and reports/ that the run made, except images. Results are hard links if the file system
        supports them.

    Raises
    ------
    LineageError, CrateError
        If the run does not exist or is unfinished, if a file has changed since its job made it, or if `out` is not a
        crate.
    """
    root = Path(root)
    out = Path(out) if out else root / "reports" / f"{run}.crate"
    software = Path(software or root)
    if out.exists() and not (out / CRATE).exists() and not (out.is_dir() and not any(out.iterdir())):
        raise CrateError(
            f"{out}: this folder exists and is not a crate; expected a crate, an empty folder or a new path. Choose "
            "a different --out"
        )
    if not (software / WORKFLOW).exists():
        raise CrateError(
            f"{software}: contains no Snakefile; expected a folder that contains segcert's sources. In a folder that "
            "snakedeploy made, run: snakemake crate"
        )
    contents = Contents(Lineage.read(run, root), software)
    contents.check()
    with atomic_folder(out) as folder:
        _copy_software(software, folder)
        for path in [*contents.files, *(job.path for job in contents.lineage.jobs)]:
            _link(root / path, folder / path)
        configuration = contents.page.record["params"]["configuration"]
        (folder / "configuration.yaml").write_text(yaml.safe_dump(configuration, sort_keys=False))
        (folder / "README.md").write_text(README.format(run=run))
        _describe(contents, folder, *find_author(root)).metadata.write(folder)
    return out


def _copy_software(source: Path, folder: Path) -> None:
    for name in SOFTWARE:
        if (source / name).is_file():
            shutil.copy2(source / name, folder / name)
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
    for name in SOFTWARE_FOLDERS:
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, ignore=ignored)


def _link(source: Path, target: Path) -> None:
    """Make a hard link, or a copy if links are not possible."""
    # Links are safe: later jobs replace existing files and never write into them.
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _describe(contents: Contents, folder: Path, author: str, author_name: str) -> ROCrate:
    """Return the metadata of a run and of the files in its new crate, `folder`. `author` is the author's @id."""
    citation = yaml.safe_load((folder / "CITATION.cff").read_text())
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    crate.metadata.extra_terms["buildInstructions"] = "https://codemeta.github.io/terms/buildInstructions"
    crate.add_jsonld({"@id": author, "@type": "Person", "name": author_name})
    work = Work(crate, contents, author)
    _add_software(work, folder, citation)
    _add_files(crate, contents, folder)
    for identifier in contents.add_data(crate):
        crate.root_dataset.append_to("hasPart", ref(identifier))
    actions = work.add_actions()
    _add_root(crate, contents, citation, actions)
    crate.root_dataset["author"] = ref(author)
    return crate


def _add_software(work: Work, folder: Path, citation: dict[str, Any]) -> None:
    """Add the workflow and its jobs' scripts."""
    address = public_address(work.contents.software)
    common = {"version": str(citation["version"]), "license": ref(MIT)}
    workflow = common | {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": citation["title"],
        "description": citation["abstract"],
        "conformsTo": ref("https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"),
        "hasPart": refs(work.tools()),
        "step": refs(work.steps()),
        "buildInstructions": refs(_locks(folder)),
    }
    if address:
        workflow["url"] = address
    workflow |= _file_properties(folder / WORKFLOW)
    work.crate.add_workflow(folder / WORKFLOW, WORKFLOW, main=True, lang="snakemake", properties=workflow)
    work.crate.add_jsonld({"@id": LOCK_FORMAT, "@type": "WebSite", "name": "pip requirements file with hashes"})
    for path in work.tools():
        script = common | {
            "@type": ["File", "SoftwareSourceCode"],
            "name": Path(path).name,
            "softwareRequirements": refs(work.packages(path)),
        }
        if address:
            script["url"] = f"{address}/{path}"
        work.crate.add_file(folder / path, path, properties=script | _file_properties(folder / path))


def _add_files(crate: ROCrate, contents: Contents, folder: Path) -> None:
    """Add the run's files and run records, the configuration, and the software folders."""

    def add(path: str, **properties: Any) -> None:
        properties = {"name": path, **properties, **_file_properties(folder / path)}
        crate.add_file(folder / path, path, properties=properties)

    run = contents.lineage.run
    outputs = {f"reports/{run}/index.html": "report", f"results/{run}/certificates.parquet": "certificates"}
    for path, name in outputs.items():
        if path in contents.files:
            slot = crate.add_formal_parameter(name, "File", f"#output/{name}")
            crate.mainEntity.append_to("output", slot, compact=True)
            add(path, exampleOfWork=ref(slot.id))
    for path in contents.files:
        if path not in outputs:
            add(path)
    for job in contents.lineage.jobs:
        add(job.path, name=f"Run record: {job.name}", about=ref(action_id(job)))
    add("configuration.yaml", name="Configuration of the run")
    add("README.md", name="Description of this crate", about=ref("./"))
    for path in _locks(folder):
        add(path, name="Locked packages", conformsTo=ref(LOCK_FORMAT))
    for path in SOFTWARE:
        if path != WORKFLOW and (folder / path).exists():
            add(path)
    for path in SOFTWARE_FOLDERS:
        if (folder / path).is_dir():
            crate.add_dataset(dest_path=f"{path}/", properties={"name": f"segcert: {path}", "license": ref(MIT)})


def _add_root(crate: ROCrate, contents: Contents, citation: dict[str, Any], actions: list[str]) -> None:
    for identifier, name in PROFILES.items():
        version = identifier.rsplit("/", 1)[1]
        crate.add_jsonld({"@id": identifier, "@type": "CreativeWork", "name": name, "version": version})
    terms = "Applies to the software and its outputs. The data sets have their own licences and terms."
    crate.add_jsonld({"@id": MIT, "@type": "CreativeWork", "name": "MIT licence", "description": terms})
    paper = citation["preferred-citation"]
    arxiv = next(each["value"] for each in paper["identifiers"] if each["value"].startswith("arXiv:"))
    address = f"https://arxiv.org/abs/{arxiv.removeprefix('arXiv:')}"
    crate.add_jsonld(
        {
            "@id": address,
            "@type": "ScholarlyArticle",
            "name": paper["title"],
            "author": ", ".join(f"{each['given-names']} {each['family-names']}" for each in paper["authors"]),
            "isPartOf": paper["collection-title"],
            "datePublished": str(paper["year"]),
        }
    )
    datasets = contents.page.record["params"]["configuration"]["datasets"]
    root = crate.root_dataset
    root["name"] = f"segcert run {contents.lineage.run}"
    root["description"] = (
        f"A finished run of {citation['title']}: workflow, configuration, run records, models, votes, certificates, "
        "tables and report. Archives and prepared images are described by their digests and are not included. The "
        "report shows some images, to which the terms of their data sets apply."
    )
    root["datePublished"] = max(job.record["ended"] for job in contents.lineage.jobs)
    root["license"] = ref(MIT)
    root["conformsTo"] = refs(PROFILES)
    root["citation"] = refs([address, *(f"#citation/{quote(name)}" for name in datasets)])
    root["about"] = refs(f"#data/{quote(name)}" for name in datasets)
    root["mentions"] = refs(actions)


def _file_properties(file: Path) -> dict[str, str]:
    """Return the size, SHA-256 and format of a file."""
    kind = FORMATS.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return {"contentSize": str(file.stat().st_size), "sha256": file_digest(file), "encodingFormat": kind}


def _locks(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted((folder / "envs").glob("lock-*.txt"))]
