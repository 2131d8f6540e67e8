"""A sample of what the fuzzer does, without it: valid files, cut short and changed, the same way each time."""

import random

from tests.tools.fuzz.contract import Guard, broken
from tests.tools.fuzz.corpus import kept
from tests.tools.fuzz.targets import TARGETS
from tests.tools.fuzz.warming import warm_up


def sampled(name: str, count: int, guard: Guard) -> list[str]:
    """What is wrong with how a target reads its seeds, the corpus, and `count` mutations of them."""
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
