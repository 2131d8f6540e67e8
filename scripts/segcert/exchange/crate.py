"""Pack a finished run as a Workflow Run RO-Crate, with PROV-JSON."""

import os
import shutil
from pathlib import Path

import yaml

from segcert.exchange.crate_contents import SOFTWARE, SOFTWARE_FOLDERS, Contents, CrateError
from segcert.exchange.crate_metadata import describe
from segcert.exchange.prov import prov_document
from segcert.io.atomic import atomic_folder
from segcert.provenance.git import find_agent
from segcert.provenance.lineage import Lineage

CRATE = "ro-crate-metadata.json"
README = """# segcert: the run {run}

A finished run of segcert as an RO-Crate (Provenance Run Crate 0.5). `ro-crate-metadata.json` describes every file and
every job, `prov.json` the same as PROV-JSON, `configuration.yaml` is the configuration; the report is
[reports/{run}/index.html](reports/{run}/index.html). Archives and prepared images are named by their SHA-256 and are
not here. The licences and terms of the data sets hold for the images that the report shows.
"""


def write_crate(
    run: str, out: str | Path | None = None, root: str | Path = ".", software: str | Path | None = None
) -> Path:
    """Pack a run as an RO-Crate (Provenance Run Crate 0.5); it is written whole or not at all.

    Parameters
    ----------
    run
        Name of the run.
    out
        Folder of the crate, which replaces an older crate; reports/<run>.crate in `root` if left out.
    root
        Where data/, models/, results/ and reports/ lie.
    software
        Where segcert's Snakefile and scripts/ lie; `root` if left out, as in a checkout.

    Returns
    -------
    The folder: ro-crate-metadata.json, prov.json, configuration.yaml, the software, and of data/, models/, results/ and
    reports/ what the run made, images left out. Results are hard links where the file system allows it.

    Raises
    ------
    LineageError, CrateError
        Where no such run is, it is not finished, a file is not what its job made, or `out` is in the way.
    """
    root = Path(root)
    out = Path(out) if out else root / "reports" / f"{run}.crate"
    if out.exists() and not (out / CRATE).exists() and not (out.is_dir() and not any(out.iterdir())):
        raise CrateError(f"{out}: is there and is no crate; expected an older crate or nothing. Name another --out")
    if not Path(software or root, "Snakefile").exists():
        raise CrateError(
            f"{Path(software or root)}: holds no Snakefile; expected segcert's sources. In a folder of snakedeploy: "
            "snakemake crate"
        )
    contents = Contents(Lineage.read(run, root), Path(software or root))
    contents.check()
    with atomic_folder(out) as folder:
        _copy_software(contents.software, folder)
        for path in [*contents.files, *(job.path for job in contents.lineage.jobs)]:
            _link(root / path, folder / path)
        configuration = contents.page.record["params"]["configuration"]
        (folder / "configuration.yaml").write_text(yaml.safe_dump(configuration, sort_keys=False))
        (folder / "README.md").write_text(README.format(run=run))
        agent = find_agent(root)
        prov_document(contents.lineage, agent.name).serialize(folder / "prov.json", indent=1)
        describe(contents, folder, agent).metadata.write(folder)
    return out


def _copy_software(source: Path, folder: Path) -> None:
    for name in SOFTWARE:
        if (source / name).is_file():
            shutil.copy2(source / name, folder / name)
    for name in SOFTWARE_FOLDERS:
        if (source / name).is_dir():
            shutil.copytree(
                source / name, folder / name, ignore=shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
            )


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy where there can be none: what jobs made is replaced by later jobs, never written over."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
