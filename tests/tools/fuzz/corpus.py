"""What the fuzzer found worth keeping, in one small file: an input for each way through a reader, all made up."""

import zipfile
from pathlib import Path

KEPT = Path(__file__).with_name("corpus.zip")
LONGEST = 600  # bytes of an input that is kept: longer ones are near the seeds, which the writers make


def kept(name: str) -> list[bytes]:
    """The inputs that are kept for a target."""
    if not KEPT.exists():
        return []
    with zipfile.ZipFile(KEPT) as archive:
        return [archive.read(each) for each in archive.namelist() if each.startswith(f"{name}/")]


def keep(corpus: Path) -> None:
    """Pack the inputs of a folder of corpora, one folder a target; the same inputs give the same bytes."""
    with zipfile.ZipFile(KEPT, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in corpus.glob("*/*") if path.stat().st_size <= LONGEST):
            about = zipfile.ZipInfo(f"{path.parent.name}/{path.name[:8]}")
            about.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(about, path.read_bytes(), compresslevel=9)
