"""Damaged: what Snakemake and segcert note beside a run. What jobs made: tests/pipeline/perturbations.py."""

from base64 import urlsafe_b64encode

from tests.tools.faults.damaged_blocks import VOTES
from tests.tools.faults.outcomes import Fault, differences

PREDICTIONS = "results/tiny/predictions/phantom/unet-clean.npz"
SCORES = "results/tiny/denoiser_scores/phantom.csv"


def metadata(run, artifact):
    """The file of Snakemake's record of an artifact."""
    return run.path / ".snakemake/metadata" / urlsafe_b64encode(artifact.encode()).decode()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def stale_lock(run, _random):
    """A lock that a run left that is no more."""
    write(run.path / ".snakemake/locks/0.input.lock", b"data/prepared/phantom/index.csv\n")
    write(run.path / ".snakemake/locks/0.output.lock", f"{VOTES[0]}\n".encode())


def incomplete(run, _random):
    """A mark that an output is incomplete, though it is whole."""
    write(run.path / ".snakemake/incomplete" / metadata(run, SCORES).name, b'{"external_jobid": null}')


def known(run, _random):
    """A file of known digests that is empty, one of garbage, one gone."""
    first, second, third = sorted((run.path / ".segcert/known").glob("*.json"))[:3]
    first.write_bytes(b"")
    second.write_bytes(b"\0{]")
    third.unlink()


def cache_of_digests(run, random):
    """The cache of digests, cut off within a line and with garbage in it."""
    path = run.path / ".segcert/digests.txt"
    content = path.read_bytes()
    path.write_bytes(random.randbytes(500) + b"\n" + content[: len(content) // 2])


def taken_trail(run, _random):
    """The note of which trail was taken up, cut off."""
    (run.path / ".snakemake/trail.json").write_text('{"trail": "')


def leftovers(run, _random):
    """Temporary files of killed writers, beside results, models, blocks and checkpoints."""
    for place in (VOTES[0], "models/segmenter/phantom/model", ".segcert/blocks/00/x", ".segcert/checkpoints/y"):
        path = run.path / place
        write(path.with_name(f".{path.stem}.abcdefgh.part{path.suffix}"), b"half")


def snakemakes_record(run, _random):
    """Snakemake's record of a file, of garbage."""
    path = metadata(run, PREDICTIONS)
    assert path.exists(), sorted((run.path / ".snakemake/metadata").rglob("*"))[:3]
    path.write_bytes(b'{"version": 6, "code": \0')


def gone_record(run, _random):
    """Snakemake's record of a file, gone."""
    metadata(run, SCORES).unlink()


NOTES = (stale_lock, incomplete, known, cache_of_digests, taken_trail)
HEALED = (*NOTES, leftovers, snakemakes_record, gone_record)


def damaged_state(_base, plain, work, random, _count):
    """Damage all that heals by itself, and go on."""
    run = plain.copy(work)
    faults = [Fault(f"damaged state: {damage.__doc__.strip()}", ["between runs"]) for damage in HEALED]
    for damage in HEALED:
        damage(run, random)
    wrong = differences(run, plain, run.go_on())
    return [fault.judge(wrong, "went on") for fault in faults]
