"""Damage records and caches of Snakemake and segcert. For damaged outputs, see tests/pipeline/perturbations.py."""

from base64 import urlsafe_b64encode

from tests.tools.faults.damaged_blocks import VOTES
from tests.tools.faults.outcomes import Fault, differences

PREDICTIONS = "results/tiny/predictions/phantom/unet-clean.npz"
SCORES = "results/tiny/denoiser_scores/phantom.csv"


def metadata(run, artifact):
    """Return the path of Snakemake's record about an artifact."""
    return run.path / ".snakemake/metadata" / urlsafe_b64encode(artifact.encode()).decode()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def stale_lock(run, _random):
    """A lock of a run that has ended."""
    write(run.path / ".snakemake/locks/0.input.lock", b"data/prepared/phantom/index.csv\n")
    write(run.path / ".snakemake/locks/0.output.lock", f"{VOTES[0]}\n".encode())


def incomplete(run, _random):
    """A mark that a complete output is incomplete."""
    write(run.path / ".snakemake/incomplete" / metadata(run, SCORES).name, b'{"external_jobid": null}')


def stored_values(run, _random):
    """One file of stored digest values empty, one of garbage, one deleted."""
    first, second, third = sorted((run.path / ".segcert/known").glob("*.json"))[:3]
    first.write_bytes(b"")
    second.write_bytes(b"\0{]")
    third.unlink()


def cache_of_digests(run, random):
    """A cache of digests that begins with garbage and ends within a line."""
    path = run.path / ".segcert/digests.txt"
    content = path.read_bytes()
    path.write_bytes(random.randbytes(500) + b"\n" + content[: len(content) // 2])


def restored_metadata(run, _random):
    """A truncated note of which packed metadata were restored."""
    (run.path / ".snakemake/trail.json").write_text('{"trail": "')


def temporary_files(run, _random):
    """Temporary files of killed writers among results, models, blocks and checkpoints."""
    for place in (VOTES[0], "models/segmenter/phantom/model", ".segcert/blocks/00/x", ".segcert/checkpoints/y"):
        path = run.path / place
        write(path.with_name(f".{path.stem}.abcdefgh.part{path.suffix}"), b"half")


def damaged_record(run, _random):
    """Garbage in Snakemake's record of a file."""
    path = metadata(run, PREDICTIONS)
    assert path.exists(), sorted((run.path / ".snakemake/metadata").rglob("*"))[:3]
    path.write_bytes(b'{"version": 6, "code": \0')


def deleted_record(run, _random):
    """Snakemake's record of a file deleted."""
    metadata(run, SCORES).unlink()


NOTES = (stale_lock, incomplete, stored_values, cache_of_digests, restored_metadata)
HEALED = (*NOTES, temporary_files, damaged_record, deleted_record)


def damaged_state(_base, plain, work, random, _count):
    """Damage every kind of state that is restored automatically, and resume."""
    run = plain.copy(work)
    faults = [Fault(f"damaged state: {damage.__doc__.strip()}", ["between runs"]) for damage in HEALED]
    for damage in HEALED:
        damage(run, random)
    wrong = differences(run, plain, run.resume())
    return [fault.judge(wrong, "resumed") for fault in faults]
