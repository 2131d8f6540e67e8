"""What a reader loads while it reads is loaded before anything is watched."""

import tempfile
from pathlib import Path

from tests.tools.fuzz.contract import Target


def warm_up(target: Target, seed: bytes) -> None:
    """Read a seed with nothing watched, so that pydicom, py7zr and the like are imported."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "given", target.file)
        path.parent.mkdir(parents=True)
        path.write_bytes(target.build(seed) if target.build else seed)
        try:
            target.read(path)
        except target.errors as error:
            print(f"a seed is refused: {error}")
