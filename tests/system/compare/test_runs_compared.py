"""`segcert diff` on finished runs."""

import json

import pandas as pd
import pytest

MODEL = ["dataset", "model", "regime", "denoiser", "sigma"]


def means(checkout, metric):
    rows = pd.read_parquet(checkout.path / "results/tiny/certificates.parquet")
    return rows.groupby([*MODEL, "image"])[metric].mean().groupby(MODEL).mean()


def test_diff_names_a_changed_tau_as_the_only_cause(finished, finished_once):
    finished.snakemake("--config", "tau=0.7")
    second = "Decision 2 on this image and network; alpha covers one."
    for checkout, expected in ((finished_once, False), (finished, True)):
        assert (second in (checkout.path / "reports/tiny/index.html").read_text()) == expected
        table = (checkout.path / "reports/tiny/tables/main.tex").read_text()
        assert (r"Decision 2 on this image and network; $\alpha$ covers one." in table) == expected
    runs = f"{finished_once.path}:tiny", "results/tiny"
    done = finished.segcert("diff", *runs, "--json", check=False)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    (cause,) = [cause for cause in found["causes"] if cause["kind"] != "git"]
    assert (cause["kind"], cause["name"], cause["old"], cause["new"]) == ("parameter", "tau", 0.75, 0.7)
    assert cause["places"] == {"certify settings.tau": 4, "attack": 4, "page configuration.tau": 1}
    assert found["only_a"] == found["only_b"] == []
    for job in found["moved"]:
        assert job["causes"] == (["tau"] if job["rule"] in ("certify", "attack") else [])
        assert job["causes"] or job["follows"]
    assert not {"sample", "predict", "train_segmenter"} & {job["rule"] for job in found["moved"]}
    for metric in ("dice", "vote_dice", "certified_dice", "worst_case_dice", "abstain", "radius"):
        rows = {tuple(row[key] for key in MODEL): row for row in found["numbers"]["rows"] if row["number"] == metric}
        a, b = means(finished_once, metric), means(finished, metric)
        assert len(rows) == len(a) == 8
        for key, row in rows.items():
            assert (row["a"], row["b"]) == pytest.approx((a[key], b[key]))
            assert row["difference"] == pytest.approx(b[key] - a[key])
            assert (row["moved"] > 0) >= (a[key] != b[key])
            assert row["moved"] == 3 or metric != "radius"
    assert "tau: 0.75 -> 0.7" in finished.segcert("diff", *runs, check=False).stdout
