"""The complete pipeline: results and pages of the tiny run."""

import math
import re

import numpy as np
import pandas as pd
import pypdf
import pytest
from PIL import Image

from segcert.certification.certificate import certify
from segcert.certification.median_smoothing import median_interval
from segcert.certification.metrics import class_metrics
from segcert.plan.snakemake_plan import PlanError
from segcert.report.captions import PRINTED
from segcert.votes import load_votes


@pytest.fixture(scope="module")
def table(finished_once):
    return pd.read_parquet(finished_once.path / "results/tiny/certificates.parquet")


def test_certificates_have_a_row_for_each_class_of_each_image(table):
    assert len(table) == 3 * 2 * 2 * 2 * 2  # images, regimes, denoisers, sigmas, classes
    assert set(table["denoiser"]) == {"none", "ddpm"}
    assert table["abstain"].between(0, 1).all()
    assert (table["area_low"] <= table["area_high"]).all()


def test_every_row_can_be_recomputed_from_votes_and_masks(finished_once, table):
    root = finished_once.path
    for (regime, denoiser, sigma), rows in table.groupby(["regime", "denoiser", "sigma"]):
        folder = root / f"results/tiny/votes/phantom/unet-{regime}/{denoiser}/sigma_{sigma:g}"
        votes = {image: vote for path in sorted(folder.glob("*.npz")) for image, vote in load_votes(path).items()}
        predictions = np.load(root / f"results/tiny/predictions/phantom/unet-{regime}.npz")
        assert len(votes) == 3
        for row in rows.to_dict("records"):
            vote = votes[row["image"]]
            assert (vote.n0, vote.n, vote.sigma) == (5, 50, sigma)
            certificate = certify(vote, row["tau"], row["alpha"])
            truth = np.asarray(Image.open(root / f"data/prepared/phantom/masks/{row['image']}.png"))
            metrics = class_metrics(truth, predictions[row["image"]], certificate.labels, row["class_id"])
            for name, value in metrics.items():
                assert row[name] == value or (math.isnan(row[name]) and math.isnan(value))
            winners = np.argmax(vote.selection.astype(int) + vote.estimation, axis=0) == row["class_id"]
            sizes = winners.sum() + (truth == row["class_id"]).sum()
            if sizes:
                assert row["vote_dice"] == 2 * (winners & (truth == row["class_id"])).sum() / sizes
                # 5 selection draws cannot outvote the 50 draws that certify a pixel.
                assert row["worst_case_dice"] <= row["vote_dice"]
            else:
                assert math.isnan(row["vote_dice"])
            assert row["abstain"] == certificate.abstain
            assert row["radius"] == certificate.radius


def test_every_interval_can_be_recomputed_from_votes(finished_once):
    root = finished_once.path
    intervals = pd.read_parquet(root / "results/tiny/intervals.parquet")
    assert len(intervals) == 3 * 2 * 2 * 2 * 5  # images, regimes, denoisers, sigmas; 2 areas, ratio, 2 Dice
    rows = intervals[(intervals["regime"] == "noise") & (intervals["denoiser"] == "ddpm") & (intervals["sigma"] == 0.5)]
    votes = load_votes(root / "results/tiny/votes/phantom/unet-noise/ddpm/sigma_0.5/shard_0.npz")
    for row in rows.to_dict("records"):
        vote = votes[row["image"]]
        values = vote.measurements | {"dice_lungs": vote.dice[:, 1], "dice_heart": vote.dice[:, 2]}
        expected = median_interval(values[row["measurement"]], 0.5, row["tau"], 0.001 / 5)
        assert (row["low"], row["high"], row["alpha"]) == (expected.low, expected.high, expected.alpha)
        if row["measurement"] == "area_lungs":
            truth = np.asarray(Image.open(root / f"data/prepared/phantom/masks/{row['image']}.png"))
            assert row["truth"] == (truth == 1).sum()


def test_no_attack_refutes_a_certificate(finished_once):
    attacks = pd.read_parquet(finished_once.path / "results/tiny/attacks.parquet")
    assert len(attacks) == 2 * 2 * 2 * 2  # regimes, denoisers, sigmas, multiples of the radius
    assert attacks["certified"].sum() > 0
    assert attacks["refuted"].sum() == 0
    assert attacks["power"].between(0, 1).all()
    spent = attacks.groupby(["regime", "denoiser", "sigma", "image"]).agg({"clean_draws": "max", "draws": "sum"})
    assert (spent.sum(axis=1) <= 60).all()  # attack.draws
    assert (attacks["norm"] <= attacks["factor"] * attacks["radius"]).all()


def test_the_page_opens_offline_and_shows_the_numbers_of_the_table(finished_once, table):
    page = (finished_once.path / "reports/tiny/index.html").read_text()
    assert not re.search(r"http://(?!www\.w3\.org|purl\.org|creativecommons\.org|openi\.nlm\.nih\.gov)", page)
    assert "synthetic images" in page
    per_image = table.groupby(["regime", "denoiser", "sigma", "image"])["certified_dice"].mean()
    for mean in per_image.groupby(["regime", "denoiser", "sigma"]).mean():
        assert f"{mean:.3f}" in page
    for stage in ("prepare_phantom", "train_denoiser", "sample", "certify"):
        assert f">{stage}</td>" in page
    main = pd.read_csv(finished_once.path / "reports/tiny/tables/main.csv")
    assert len(main) == 8
    assert (finished_once.path / "reports/tiny/figures/certified_dice.svg").stat().st_size > 1000


def test_a_run_makes_the_files_for_a_paper(finished_once):
    report = finished_once.path / "reports/tiny"
    summary = pypdf.PdfReader(report / "summary.pdf")
    assert len(summary.pages) == 2
    assert "syntheticimages" in "".join(summary.pages[0].extract_text().split())
    main = pd.read_csv(report / "tables/main.csv")
    text = (report / "tables/main.tex").read_text()
    assert all(f"{value:.3f}" in text for value in main["certified_dice"])
    figures = {path.stem for path in report.glob("figures/*.pdf")}
    assert figures == set(PRINTED)
    for name in figures:
        (page,) = pypdf.PdfReader(report / f"figures/{name}.pdf").pages
        assert float(page.mediabox.width) == pytest.approx(88 / 25.4 * 72, abs=0.01)


def test_a_bad_configuration_is_refused_at_once(checkout):
    done = checkout.snakemake("-n", "--config", "sigmas=[-1]", check=False)
    assert done.returncode != 0
    assert "`sigmas: [0.25, 0.5, 1.0]`" in done.output
    assert "common.smk" not in done.output
    for setting, line in (
        ("draws=20", "`n: 44` or a larger number"),
        ("taus=1", "did you mean `tau`"),
        ("measurements=[volume]", "`measurements.0`: found 'volume'"),
        ("decisions=[area_liver > 3]", "is not measured"),
    ):
        with pytest.raises(PlanError, match=re.escape(line)):
            checkout.stale("--config", setting)
