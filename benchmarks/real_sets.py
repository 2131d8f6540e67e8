"""Real images for the benchmarks, prepared in the pipeline's format from a folder of official archives."""

from pathlib import Path

from segcert.data.catalogue import module_of
from segcert.data.fetch import fetch
from segcert.data.manifest import open_raw
from segcert.data.prepare import Form, prepare


def prepare_real(dataset: str, archives: Path, folder: Path, size: int) -> Path:
    """Prepare a data set at (size, size) pixels unless it exists; return its index.csv."""
    if not (folder / "index.csv").exists():
        about, layout = module_of(dataset).DATASET, module_of(dataset).LAYOUT
        raw = folder.with_name(f"{folder.name}-raw")
        fetch(about, raw, str(archives))
        with open_raw(raw) as files:
            prepare(about, layout.find(files, about), folder, Form(size), workers=2)
    return folder / "index.csv"
