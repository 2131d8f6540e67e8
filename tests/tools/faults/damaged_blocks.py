"""Damaged: blocks of draws, and the notes beside them. They are found by their checksums and drawn again."""

from tests.tools.faults.outcomes import Fault, differences

VOTES = [f"results/tiny/votes/phantom/unet-clean/{denoiser}/sigma_0.5/shard_0.npz" for denoiser in ("none", "ddpm")]
BLOCKS, NOTES = ".segcert/blocks/*/[!.]*.npz", ".segcert/blocks/*/[!.]*.json"
LOGS = "logs/tiny/sample/**/*.log"


def flipped(content, random, _other):
    """One bit of it flipped, where the arrays are."""
    place = random.randrange(len(content) // 4, len(content) // 2)
    return content[:place] + bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1 :]


def truncated(content, random, _other):
    """Cut off somewhere."""
    return content[: random.randrange(1, len(content))]


def empty(_content, _random, _other):
    """Nothing in it."""
    return b""


def garbage(content, random, _other):
    """As long as it was, of random bytes."""
    return random.randbytes(len(content))


def hole(content, _random, _other):
    """A sector of zeros, as a disk leaves it."""
    return content[:100] + bytes(min(512, len(content) - 150)) + content[100 + min(512, len(content) - 150) :]


def exchanged(_content, _random, other):
    """The content of another block, whole, under this one's name."""
    return other


def continued(content, random, other):
    """The first half of it and the second of another one."""
    return content[: len(content) // 2] + other[len(other) // 2 :]


DAMAGES = (flipped, flipped, truncated, empty, garbage, hole, exchanged, continued)
NOTE_DAMAGES = {"empty": "", "garbage": "\0[5", "of another kind": '{"n": 50}'}


def damaged_blocks(_base, plain, work, random, _count):
    """Damage a block in each way, and some notes, and draw all votes again."""
    run = plain.copy(work)
    votes = [path.relative_to(run.path).as_posix() for path in run.files("results/tiny/votes/**/*.npz")]
    blocks, notes = run.files(BLOCKS), run.files(NOTES)
    chosen = random.sample(blocks, len(DAMAGES))
    whole = {path: path.read_bytes() for path in blocks}
    faults = {}
    for path, damage in zip(chosen, DAMAGES, strict=True):
        other = whole[random.choice([each for each in blocks if whole[each] != whole[path]])]
        path.write_bytes(damage(whole[path], random, other))
        faults[path] = Fault(f"a damaged block: {damage.__name__}", ["sample"])
    for path, (name, content) in zip(random.sample(notes, len(NOTE_DAMAGES)), NOTE_DAMAGES.items(), strict=True):
        whole[path] = path.read_bytes()
        path.write_text(content)
        faults[path] = Fault(f"a damaged note beside blocks: {name}", ["sample"])
    ended = run.run("--force", *votes)
    said = "".join(path.read_text() for path in run.files(LOGS))
    wrong = differences(run, plain, ended)
    for path, fault in faults.items():
        name = path.relative_to(run.path).as_posix()
        if f"{name}: damaged" not in said:
            fault.wrong.append(f"{name}: not found")
        if path.read_bytes() != whole[path]:
            fault.wrong.append(f"{name}: not as it was")
        fault.judge(wrong, "found, named in the log, made again")
    return list(faults.values())
