"""The trail travels with the artifacts: Snakemake's records, and the run records that `data.dvc` leaves out.

Snakemake decides from `.snakemake/metadata` what is stale; a clone that pulls the artifacts has no such records
and would do everything again. So they are packed into results/.trail, which `results.dvc` covers, and unpacked
in a clone that has none. Run records hold times; data.dvc leaves them out (.dvcignore) so that the same data give
the same pointer, and they are packed as well.
"""

import shutil
from pathlib import Path

from segcert.provenance.atomic import atomic_folder
from segcert.provenance.records import SUFFIX

METADATA = Path(".snakemake/metadata")
TRAIL = Path("results/.trail")
POINTERS = ("data.dvc", "models.dvc", "results.dvc")


def pack_trail(root: str | Path = ".") -> None:
    """Copy Snakemake's records and the data's run records to results/.trail."""
    root = Path(root)
    with atomic_folder(root / TRAIL) as new:
        shutil.copytree(root / METADATA, new / "snakemake")
        for record in (root / "data").rglob(f"*{SUFFIX}"):
            copy = new / record.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(record, copy)


def unpack_trail(root: str | Path = ".") -> bool:
    """Put the records back where there is a trail and Snakemake has none yet; say whether that was so.

    The pointers become newer than what they point at, as after the run that wrote them.
    """
    root = Path(root)
    known = (root / METADATA).exists() and any((root / METADATA).iterdir())
    if known or not (root / TRAIL / "snakemake").exists():
        return False
    if (root / TRAIL / "data").exists():
        shutil.copytree(root / TRAIL / "data", root / "data", dirs_exist_ok=True)
    with atomic_folder(root / METADATA) as new:
        shutil.copytree(root / TRAIL / "snakemake", new, dirs_exist_ok=True)
    for pointer in filter(Path.exists, (root / name for name in POINTERS)):
        pointer.touch()
    return True
