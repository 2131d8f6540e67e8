"""Damaged: what Snakemake, DVC and segcert note beside a run, and what jobs made."""

from base64 import urlsafe_b64encode

from tests.tools.faults.damaged_blocks import VOTES, flipped
from tests.tools.faults.outcomes import Fault, differences

CERTIFICATES = "results/tiny/certificates/phantom/unet-clean/none/sigma_0.5.parquet"
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


def votes(run, random):
    """A bit of a votes file flipped."""
    (run.path / VOTES[0]).write_bytes(flipped((run.path / VOTES[0]).read_bytes(), random, b""))
    return VOTES[0]


def certificates(run, _random):
    """A table of certificates cut off."""
    path = run.path / CERTIFICATES
    path.write_bytes(path.read_bytes()[:-100])
    return CERTIFICATES


def weights(run, random):
    """A bit of a model's weights flipped."""
    name = "models/segmenter/phantom/unet-clean/last.safetensors"
    (run.path / name).write_bytes(flipped((run.path / name).read_bytes(), random, b""))
    return name


def run_record(run, _random):
    """A run record cut off."""
    path = run.path / f"{SCORES}.record.json"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return f"{SCORES}.record.json"


def picture(run, _random):
    """A figure of the report, emptied."""
    name = "reports/tiny/figures/headline.png"
    (run.path / name).write_bytes(b"")
    return name


NAMED = (votes, certificates, weights, run_record, picture)


def damaged_state(_base, plain, work, random, _count):
    """Damage all that heals by itself and go on; then what must be named, and make it again as the message says."""
    run = plain.copy(work)
    faults = [Fault(f"damaged state: {damage.__doc__.strip()}", ["between runs"]) for damage in HEALED]
    for damage in HEALED:
        damage(run, random)
    wrong = differences(run, plain, run.go_on())
    return [*(fault.judge(wrong, "went on") for fault in faults), *named(plain, work, random)]


def named(plain, work, random):
    """Damage what jobs made; a plan or an audit must name it, and it is made again as they say."""
    run, faults = plain.copy(work), []
    damaged = {damage(run, random): damage for damage in NAMED}
    planned = run.run("-n")
    said, audited = run.output, run.broken()
    forced = [name.removesuffix(".record.json") for name in damaged]
    ended = run.run("--force", *forced) or run.run()
    wrong = differences(run, plain, planned or ended)
    for name, damage in damaged.items():
        fault = Fault(f"damaged: {damage.__doc__.strip()}", ["between runs"])
        if name not in said and not any(name in each or each in name for each in audited):
            fault.wrong.append(f"{name}: not named by the plan, nor by the audit: {sorted(audited)}")
        by = "plan" if name in said else "audit"
        faults.append(fault.judge(wrong, f"named by the {by}, made again with --force"))
    return faults
