"""Two fresh checkouts of one commit make the same bytes, and so do smaller shards."""

from tests.support.checkout import TINY, make_checkout
from tests.support.digests import differing, reproducible
from tests.support.rewording import reword

from segcert.provenance.digests import file_digest
from segcert.votes import load_votes

# These files name the commit, and the second checkout has none
COMMIT = tuple(f"reports/tiny/{name}" for name in ("summary.pdf", "checks.json", "figures/lineage."))


def digests(checkout):
    """Return digests of all outputs without times or the commit, and of the pointers to data and models."""
    made = {name: digest for name, digest in reproducible(checkout.path).items() if not name.startswith(COMMIT)}
    return made | {name: file_digest(checkout.path / name) for name in ("data.dvc", "models.dvc")}


def test_a_second_run_in_a_fresh_checkout_makes_the_same_bytes(finished_once, tmp_path):
    """The second run has other errors and log lines: artifacts do not contain them, and code digests ignore them."""
    again = make_checkout(tmp_path / "again")
    assert reword(again.path / "scripts") > 400
    again.snakemake()
    first, second = digests(finished_once), digests(again)
    assert differing(first, second) == []
    for kind in ("data/prepared/", "models/", "results/tiny/votes/", "results/tiny/cert", "reports/tiny/tables/"):
        assert any(name.startswith(kind) for name in first)
    said = again.segcert("diff", f"{finished_once.path}:tiny", "tiny").output
    assert "Numbers: identical in all 8 rows" in said


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
