"""Damage blocks of draws. Checksums detect the damage, and the blocks are drawn again.

For damaged checkpoints, see tests/unit/training/test_loop.py.
"""

from tests.tools.faults.outcomes import Fault, differences

VOTES = [f"results/tiny/votes/phantom/unet-clean/{denoiser}/sigma_0.5/shard_0.npz" for denoiser in ("none", "ddpm")]
BLOCKS = ".segcert/blocks/*/[!.]*.npz"
LOGS = "logs/tiny/sample/**/*.log"


def flipped(content, random, _other):
    """Flip one bit in the arrays."""
    place = random.randrange(len(content) // 4, len(content) // 2)
    return content[:place] + bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1 :]


def truncated(content, random, _other):
    """Cut the file off at a random position."""
    return content[: random.randrange(1, len(content))]


def empty(_content, _random, _other):
    """Empty the file."""
    return b""


def garbage(content, random, _other):
    """Replace all bytes with random bytes."""
    return random.randbytes(len(content))


def hole(content, _random, _other):
    """Fill a sector with zeros, as a faulty disk does."""
    return content[:100] + bytes(min(512, len(content) - 150)) + content[100 + min(512, len(content) - 150) :]


def exchanged(_content, _random, other):
    """Replace the content with the content of a different block."""
    return other


def continued(content, random, other):
    """Replace the second half with that of a different block."""
    return content[: len(content) // 2] + other[len(other) // 2 :]


DAMAGES = (flipped, flipped, truncated, empty, garbage, hole, exchanged, continued)


def damaged_blocks(_base, plain, work, random, _count):
    """Damage one block in each way; then draw all votes again."""
    run = plain.copy(work)
    votes = [path.relative_to(run.path).as_posix() for path in run.files("results/tiny/votes/**/*.npz")]
    blocks = run.files(BLOCKS)
    chosen = random.sample(blocks, len(DAMAGES))
    whole = {path: path.read_bytes() for path in blocks}
    faults = {}
    for path, damage in zip(chosen, DAMAGES, strict=True):
        other = whole[random.choice([each for each in blocks if whole[each] != whole[path]])]
        path.write_bytes(damage(whole[path], random, other))
        faults[path] = Fault(f"a damaged block: {damage.__name__}", ["sample"])
    ended = run.run("--force", *votes)
    said = "".join(path.read_text() for path in run.files(LOGS))
    wrong = differences(run, plain, ended)
    for path, fault in faults.items():
        name = path.relative_to(run.path).as_posix()
        if f"{name}: this block of draws is damaged" not in said:
            fault.wrong.append(f"{name}: not found")
        if path.read_bytes() != whole[path]:
            fault.wrong.append(f"{name}: not restored")
        fault.judge(wrong, "found, named in the log, drawn again")
    return list(faults.values())
