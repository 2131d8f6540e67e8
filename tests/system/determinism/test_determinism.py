"""Two fresh checkouts of one commit make the same bytes."""

from tests.support.checkout import make_checkout
from tests.system.compare.test_runs_compared import diff

from segcert.provenance.digests import file_digest

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
    again = make_checkout(tmp_path / "again")
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
