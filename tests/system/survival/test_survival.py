"""Runs survive kill -9 in the middle of sampling, and a second run at the same time."""

from tests.support.checkout import kill, wait_for

from segcert.provenance.records import read_record
from segcert.votes import load_votes

BLOCKS = ".segcert/blocks/*/[!.]*.npz"
CERTIFICATE = "results/tiny/certificates/phantom/unet-clean/ddpm/sigma_0.25.npz"  # the record of its job is next to it
TARGET = "results/tiny/votes/phantom/unet-clean/ddpm/sigma_0.5/shard_0.npz"


def test_finished_blocks_are_not_redrawn_after_kill_9(finished, finished_once):
    for path in finished.files(BLOCKS):
        path.unlink()
    process = finished.start("--force", TARGET, "--config", "sampling={block_size: 2}")
    wait_for(lambda: process.poll() is not None or len(finished.files(BLOCKS)) >= 5, "blocks were written")
    assert process.poll() is None, "sampling ended before it could be killed"
    kill(process)
    assert not (finished.path / TARGET).exists(), "killed too late"
    blocks = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in finished.files(BLOCKS)}
    assert len(blocks) >= 5

    assert "--unlock" in finished.snakemake(TARGET, check=False).output, "the message about the lock says what to do"
    finished.snakemake("--unlock")
    finished.snakemake(TARGET, "--config", "sampling={block_size: 2}")
    for path, (written, content) in blocks.items():
        assert (path.stat().st_mtime_ns, path.read_bytes()) == (written, content), "redrawn"
    votes, undisturbed = load_votes(finished.path / TARGET), load_votes(finished_once.path / TARGET)
    assert {name: vote.digest for name, vote in votes.items()} == {
        name: vote.digest for name, vote in undisturbed.items()
    }


def test_an_interrupted_job_runs_again_and_the_audit_names_its_output(finished):
    process = finished.start("--force", TARGET)
    wait_for(lambda: finished.files(".snakemake/incomplete/*"), "the job began")
    kill(process)
    finished.snakemake("--unlock")
    (finished.path / TARGET).write_bytes(b"half of it")
    stale = finished.stale()
    assert (stale["sample"], stale["certify"]) == (1, 1)
    assert not any(rule.startswith("train") for rule in stale)
    assert finished.audit().first.path == TARGET
    finished.snakemake(TARGET)
    assert finished.stale() == {}, "the output is the same"
    assert finished.broken() == set()


def test_a_second_run_at_the_same_time_is_refused(finished):
    first = finished.start(CERTIFICATE, "--forcerun", "train_denoiser", "--config", "tau=0.7")
    wait_for(lambda: finished.files(".snakemake/locks/*"), "the first run began")
    second = finished.snakemake("--config", "tau=0.72", check=False)
    assert second.returncode != 0
    assert "locked" in second.output
    assert first.wait() == 0
    assert "Nothing to be done" in finished.snakemake("-n", CERTIFICATE, "--config", "tau=0.7").output
    assert read_record(finished.path / CERTIFICATE)["params"]["settings"]["tau"] == 0.7
