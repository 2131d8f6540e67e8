"""Two fresh checkouts of one commit make the same bytes, and so do jobs of fewer images."""

from tests.support.checkout import TINY, make_checkout
from tests.support.rewording import reword
from tests.system.compare.test_runs_compared import diff

from segcert.provenance.digests import file_digest
from segcert.votes import load_votes

TIMES = (
    "results/tiny/seconds/", "results/.trail/", "reports/tiny/index.html", "reports/tiny.dvc",
    "reports/tiny/tables/stages.csv", "reports/tiny/figures/stages.",
)  # fmt: skip
# They name it, and the second checkout has none
COMMIT = tuple(f"reports/tiny/{name}" for name in ("summary.pdf", "checks.json", "figures/lineage."))


def digests(checkout):
    """SHA-256 of all that the run made but what holds times or the commit, and of the pointers to data and models."""
    names = [
        path.relative_to(checkout.path).as_posix()
        for top in ("data", "models", "results", "reports")
        for path in checkout.path.glob(f"{top}/**/*")
        if path.is_file() and not path.name.endswith(".record.json")
    ]
    made = [name for name in names if not name.startswith(TIMES + COMMIT)]
    return {name: file_digest(checkout.path / name) for name in [*made, "data.dvc", "models.dvc"]}


def test_a_second_run_in_another_fresh_checkout_makes_the_same_bytes(finished_once, tmp_path):
    """Though its errors and log lines have other words: no artifact holds these, and code digests leave them out."""
    again = make_checkout(tmp_path / "again")
    assert reword(again.path / "scripts") > 400
    again.snakemake()
    first, second = digests(finished_once), digests(again)
    assert {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)} == set()
    for kind in (
        "data/prepared/",
        "models/",
        "results/tiny/votes/",
        "results/tiny/certificates",
        "reports/tiny/tables/",
    ):
        assert any(name.startswith(kind) for name in first)
    done = diff(again, f"{finished_once.path}:tiny", "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Numbers: identical in all 8 rows" in done.stdout


def test_shards_do_not_change_votes_and_certificates(finished_once, finished):
    finished.edit(TINY, "block_size: 10", "block_size: 10, shard_size: 2")
    assert finished.stale()["sample"] == 2 * 8
    folder = "results/tiny/votes/phantom/unet-noise/none/sigma_0.5"
    certificates = "results/tiny/certificates/phantom/unet-noise/none/sigma_0.5"
    finished.snakemake(f"{certificates}.npz")
    for suffix in ("npz", "parquet", "intervals.parquet", "budget.parquet", "radii.npz", "radii.parquet"):
        written = [(each.path / f"{certificates}.{suffix}").read_bytes() for each in (finished_once, finished)]
        assert written[0] == written[1], suffix
    parts = [load_votes(finished.path / folder / f"shard_{shard}.npz") for shard in (0, 1)]
    whole = load_votes(finished_once.path / folder / "shard_0.npz")
    assert [len(part) for part in parts] == [2, 1]
    assert {name: vote.digest for part in parts for name, vote in part.items()} == {
        name: vote.digest for name, vote in whole.items()
    }
