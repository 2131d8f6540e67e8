"""Test targets with the committed corpus and a fixed sample of mutations. atheris is not needed.

corpus.zip contains synthetic inputs: one for each path through a reader.
"""

import random
import zipfile
from pathlib import Path

from tests.tools.fuzz.contract import Guard, broken, warm_up
from tests.tools.fuzz.targets import TARGETS

KEPT = Path(__file__).with_name("corpus.zip")
LONGEST = 600  # maximum length of a kept input in bytes: longer inputs resemble the seeds, which need not be kept


def kept(name: str) -> list[bytes]:
    """Return a target's inputs in the committed corpus."""
    if not KEPT.exists():
        return []
    with zipfile.ZipFile(KEPT) as archive:
        return [archive.read(each) for each in archive.namelist() if each.startswith(f"{name}/")]


def keep(corpus: Path) -> None:
    """Pack a folder with one subfolder per target into corpus.zip. Equal inputs give a byte-identical archive."""
    with zipfile.ZipFile(KEPT, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in corpus.glob("*/*") if path.stat().st_size <= LONGEST):
            about = zipfile.ZipInfo(f"{path.parent.name}/{path.name[:8]}")
            about.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(about, path.read_bytes(), compresslevel=9)


def sampled(name: str, count: int, guard: Guard) -> list[str]:
    """Let a target read its seeds, its corpus and `count` mutations of these. Return all problems."""
    target, chance = TARGETS[name](), random.Random(name)
    seeds = target.seeds()
    for seed in seeds:
        warm_up(target, seed)
    inputs = [*seeds, *kept(name)]
    inputs += [b"", *(_mutated(chance.choice(inputs), chance) for _ in range(count))]
    return [f"{name}: {problem}" for data in inputs if (problem := broken(target, data, guard))]


def _mutated(seed: bytes, chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.choice((1, 2, 8))):
        place = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[place] = chance.randrange(256)
            case 1:
                data[place] ^= 1 << chance.randrange(8)
            case 2:
                data[place:place] = chance.choice((b"9" * 12, b"-", b"..", b"[" * 2000, b"\0", b"null", b"\xff" * 4))
            case _:
                del data[place : place + chance.choice((1, 4, 64))]
        if not data:
            break
    return bytes(data[: chance.randrange(len(data) + 1)] if chance.random() < 0.2 else data)
