"""A run with planned looks: the draws of each image end at its own look, and alpha is shared."""

import numpy as np
import pandas as pd

from segcert.audit.audit import CHECKS
from segcert.audit.checks.replay import replay_check
from segcert.certification.certificate import certify
from segcert.certification.looks import Looks
from segcert.provenance.records import read_record
from segcert.votes import Votes, load_votes

LOOKS, SHARE = Looks((50, 60, 80), stop_at_abstention=0.2), 0.2
# The networks learn long enough to label some images with more certainty than others.
TRAINING = "segmenter={width: 8, depth: 2, steps: 150, batch_size: 8, evaluate_every: 50}"
SETTINGS = ("--config", f"looks={list(LOOKS.ns)}", f"stop_at_abstention={SHARE}", "keep_draws=true", TRAINING)


def votes_at(votes, n):
    """Return the votes of the first n estimation draws, counted again from the label maps."""
    maps = votes.label_maps()
    one_hot = np.stack([maps == class_id for class_id in range(len(votes.estimation))], axis=1).astype(int)
    return Votes.from_counts(one_hot[: votes.n0].sum(0), one_hot[votes.n0 : votes.n0 + n].sum(0), votes.sigma)


def test_draws_end_at_the_look_at_which_enough_is_certified(finished):
    finished.snakemake(*SETTINGS)
    rows = pd.read_parquet(finished.path / "results/tiny/certificates.parquet")
    assert set(rows["looks"]) == {"50, 60, 80"}
    assert set(rows["alpha"]) == {0.001}
    ends = set()
    for path in finished.files("results/tiny/votes/**/*.npz"):
        for image, votes in load_votes(path).items():
            shares = {n: certify(votes_at(votes, n), 0.75, 0.001 / 3).abstain for n in LOOKS.ns if n <= votes.n}
            enough = [n for n, share in shares.items() if share <= SHARE]
            assert votes.n == min(enough, default=LOOKS.ns[-1])
            ends.add(votes.n)
            _, model, denoiser, sigma, _ = path.parts[-5:]
            of_image = rows["image"].eq(image) & rows["denoiser"].eq(denoiser) & rows["sigma"].eq(float(sigma[6:]))
            row = rows[of_image & rows["regime"].eq(model.removeprefix("unet-"))]
            assert set(row["n"]) == {votes.n}
            assert set(row["abstain"]) == {shares[votes.n]}
    assert len(ends) > 1, "images end at different looks"
    for record in map(read_record, finished.files("results/tiny/votes/**/*.npz")):
        assert {"sample_at_looks.py", "segcert/certification/certificate.py"} <= record["code"].keys()
        assert "sample.py" not in record["code"]
    main = pd.read_csv(finished.path / "reports/tiny/tables/main.csv")
    assert main["n"].between(50, 80).all()
    assert set(main["looks"]) == {"50, 60, 80"}
    page = (finished.path / "reports/tiny/index.html").read_text()
    assert "5 + 50, 60 or 80 (planned looks share alpha) noisy copies of each image" in page
    radii = pd.read_parquet(finished.path / "results/tiny/radii.parquet")
    assert set(radii["alpha"]) == {0.001}, "the radius map is wrong with probability alpha, over all looks"
    assert "Nothing to be done" in finished.snakemake(*SETTINGS).output
    checks = CHECKS | replay_check(2, seed=0)
    assert finished.broken(checks=checks) == set()
