"""Differences between two runs, with records written by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from segcert.cli import app
from segcert.compare.numbers import changed_intervals, changed_metrics, compare_numbers
from segcert.compare.records import diff_records
from segcert.compare.runs import find_run
from segcert.compare.text import to_json, to_text
from segcert.provenance.lineage import LineageError
from segcert.results.confidence import mean_interval

MODEL = {"dataset": "d", "model": "unet", "regime": "clean", "denoiser": "none"}
METRICS = ["dice", "iou", "vote_dice", "certified_dice", "certified_iou", "worst_case_dice", "abstain", "radius"]


class Checkout:
    """Records of a run in a checkout: fetch, prepare, certify for two sigmas, collect and page."""

    def __init__(self, root, run="r"):
        self.root, self.run = root, run
        raw, index = "data/raw/d", "data/prepared/d/index.csv"
        self.jobs = {"fetch": self.job("fetch", {"dataset": "d"}, {}, {f"{raw}/manifest.json": "m"})}
        self.jobs["fetch"]["holds"] = {f"{raw}/images.zip": "zip"}
        self.jobs["prepare"] = self.job("prepare", {"dataset": "d"}, {f"{raw}/manifest.json": "m"}, {index: "i"})
        self.jobs["prepare"]["holds"] = {"data/prepared/d/images/a.png": "a"}
        tables = {}
        for sigma in ("0.25", "0.5"):
            made = {f"results/{run}/certificates/d/sigma_{sigma}.parquet": f"c{sigma}"}
            self.jobs[sigma] = self.job("certify", {"dataset": "d", "sigma": sigma}, {index: "i"}, made)
            self.jobs[sigma]["params"] = {"settings": {"tau": 0.75, "alpha": 0.001}, "code": "x"}
            tables |= made
        table = {f"results/{run}/certificates.parquet": "t"}
        self.jobs["collect"] = self.job("collect", {}, tables, table)
        self.jobs["page"] = self.job("page", {}, table, {f"reports/{run}/index.html": f"html of {root}"})
        self.jobs["page"]["params"] = {"configuration": {"run": run, "tau": 0.75}, "recorded": list(tables)}
        self.rows = [
            MODEL | {"sigma": sigma, "image": image, "group": image, "class_id": class_id} | dict.fromkeys(METRICS, 0.5)
            for sigma in (0.25, 0.5) for image in "abcd" for class_id in (1, 2)
        ]  # fmt: skip
        self.intervals = [
            MODEL
            | {
                "sigma": 0.5,
                "measurement": "area",
                "unit": "mm2",
                "image": image,
                "group": image,
                "low": 1.0,
                "median": 2.0,
                "high": np.inf,
            }
            for image in "ab"
        ]

    def job(self, rule, wildcards, inputs, outputs):
        return {
            "format": "segcert-record-2", "rule": rule, "wildcards": wildcards, "params": {"seed": 0}, "threads": 1,
            "code": {f"{rule}.py": rule, "segcert/votes.py": "v"}, "environment": {"numpy": "2.4 aa"},
            "git": {"commit": "1" * 40, "clean": True, "changed": []}, "python": "3.11.7", "machine": "Linux",
            "inputs": dict(inputs), "outputs": dict(outputs),
            "driver": None, "device": "cpu", "packages": {"numpy": "2.4"},
            "started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:00:00+00:00",
            "locks": {}, "seconds": 1.0, "peak_memory_mib": 1,
        }  # fmt: skip

    def differs(self, *names):
        """Change the outputs of some jobs, and the inputs of the jobs that read them."""
        for name in names:
            for path in self.jobs[name]["outputs"]:
                self.jobs[name]["outputs"][path] += "'"
                for job in self.jobs.values():
                    if path in job["inputs"]:
                        job["inputs"][path] += "'"

    def write(self):
        for job in self.jobs.values():
            path = self.root / f"{next(iter(job['outputs']))}.record.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(job))
        pd.DataFrame(self.rows).to_parquet(self.root / f"results/{self.run}/certificates.parquet")
        pd.DataFrame(self.intervals).to_parquet(self.root / f"results/{self.run}/intervals.parquet")
        return find_run(f"{self.root}:{self.run}")


@pytest.fixture
def a(tmp_path):
    return Checkout(tmp_path / "a")


@pytest.fixture
def b(tmp_path):
    return Checkout(tmp_path / "b", "other")


def compared(a, b):
    return diff_records(a.write(), b.write())


def text_and_json(a, b):
    runs = a.write(), b.write()
    found = diff_records(*runs), changed_metrics(*runs), changed_intervals(*runs)
    return to_text(*runs, *found), json.loads(to_json(*runs, *found))


def causes(found):
    return {(cause.kind, cause.name): (cause.old, cause.new, cause.places) for cause in found.causes}


def test_names_checkouts_and_measured_times_are_not_differences(a, b):
    found = compared(a, b)
    assert found.same
    assert not found.causes
    assert (
        found.files == 2 + 1 + 1 + 2 + 1 - 1
    )  # manifest, index, image, certificates, table; not the archive and the page
    text, document = text_and_json(a, b)
    assert "Files made: all 6 identical" in text
    assert "Numbers: identical in all 2 rows" in text
    assert document["same"]


def test_a_parameter_is_one_cause_and_its_effects_follow_from_it(a, b):
    for sigma in ("0.25", "0.5"):
        b.jobs[sigma]["params"]["settings"]["tau"] = 0.7
    b.jobs["page"]["params"]["configuration"]["tau"] = 0.7
    b.differs("0.25", "0.5", "collect")
    found = compared(a, b)
    places = {"certify settings.tau": 2, "page configuration.tau": 1}
    assert causes(found) == {("parameter", "tau"): (0.75, 0.7, places)}
    assert (found.causes[0].jobs, found.causes[0].moved) == (3, 2)
    assert [(job.job, job.causes, job.follows) for job in found.changed_jobs] == [
        ("certify d 0.25", ["tau"], []),
        ("certify d 0.5", ["tau"], []),
        ("collect", [], ["certify d 0.25", "certify d 0.5"]),
    ]
    text, _ = text_and_json(a, b)
    assert "tau: 0.75 -> 0.7" in text
    assert "follows from certify" in text
    assert "without a cause" not in text


def test_an_archive_is_a_source_and_the_first_cause(a, b):
    b.jobs["fetch"]["holds"]["data/raw/d/images.zip"] = "another"
    b.jobs["collect"]["params"]["seed"] = 1
    b.differs("fetch", "prepare")
    found = compared(a, b)
    assert [(cause.kind, cause.name) for cause in found.causes] == [
        ("source", "data/raw/d/images.zip"),
        ("parameter", "seed"),
    ]
    assert [(job.rule, job.follows) for job in found.changed_jobs] == [("fetch", []), ("prepare", ["fetch d"])]
    assert "seed: 0 -> 1" in text_and_json(a, b)[0]
    assert "this changes no file" in text_and_json(a, b)[0]


def test_code_packages_and_settings_are_named_with_their_values(a, b):
    for job in b.jobs.values():
        job["code"]["segcert/votes.py"] = "v2"
        job["environment"] = {"numpy": "2.5 bb"}
        job["packages"] = {"numpy": "2.5", "torch": "2.13"}
        job["python"] = "3.11.9"
    b.jobs["page"]["code"]["new.py"] = "n"
    found = causes(compared(a, b))
    assert set(found) == {
        ("code", "scripts/segcert/votes.py"), ("code", "scripts/new.py"), ("package", "numpy"), ("setting", "python"),
    }  # fmt: skip
    assert found["package", "numpy"][:2] == ("2.4", "2.5")
    assert found["package", "numpy"][2]["certify locked"] == found["package", "numpy"][2]["certify imported"] == 2
    assert found["code", "scripts/new.py"][:2] == ("absent", "n")


def test_another_wheel_of_the_same_version_and_unrecorded_code_are_noticed(a, b):
    b.jobs["collect"]["environment"] = {"numpy": "2.4 bb"}
    a.jobs["0.5"]["code"] = {}
    b.jobs["0.5"]["params"]["code"] = "y"
    found = causes(compared(a, b))
    assert found["package", "numpy"][:2] == ("2.4 aa", "2.4 bb")
    assert found["code", "scripts/(not all are recorded)"][:2] == ("x", "y")


def test_another_commit_alone_is_reported_and_is_not_a_difference(a, b):
    b.jobs["page"]["git"] = {"commit": "2" * 40, "clean": False, "changed": ["README.md"]}
    found = compared(a, b)
    assert found.same
    text, _ = text_and_json(a, b)
    assert f"commit {'1' * 12} -> {'2' * 12} with changes (1 job)" in text
    assert "settings: identical" in text


def test_jobs_of_only_one_run_are_named_and_their_paths_are_not_parameters(a, b):
    for job in (a.jobs.pop("0.5"), a.jobs["collect"], a.jobs["page"]):
        for path in list(job["inputs"]):
            if "sigma_0.5" in path:
                del job["inputs"][path]
    a.jobs["page"]["params"]["recorded"].pop()
    a.rows = [row for row in a.rows if row["sigma"] == 0.25]
    b.jobs["collect"]["outputs"][f"results/{b.run}/certificates.parquet"] = "t2"
    found = compared(a, b)
    assert ([job.name for job in found.only_a], [job.name for job in found.only_b]) == ([], ["certify d 0.5"])
    assert not found.causes
    assert [(job.job, job.follows) for job in found.changed_jobs] == [("collect", ["certify d 0.5"])]
    text, document = text_and_json(a, b)
    assert "only in B" in text
    assert document["numbers"]["only_b"] == [MODEL | {"sigma": 0.5}]


def test_a_cause_without_compared_files_is_not_said_to_change_no_file(a, b):
    b.jobs["page"]["params"]["configuration"]["tau"] = 0.7
    (cause,) = compared(a, b).causes
    assert (cause.jobs, cause.moved) == (1, None)
    assert "this changes no file" not in text_and_json(a, b)[0]


def test_pages_that_show_the_name_of_the_run_are_compared_if_the_names_are_equal(tmp_path):
    a, same, renamed = Checkout(tmp_path / "a"), Checkout(tmp_path / "same"), Checkout(tmp_path / "renamed", "other")
    for each in (a, same, renamed):
        path = f"reports/{each.run}/data.html"
        each.jobs["data_page"] = each.job("data_page", {}, {}, {path: f"page of {each.root}"})
        each.jobs["page"]["inputs"][path] = f"page of {each.root}"
    assert compared(a, renamed).same
    assert [job.rule for job in compared(a, same).changed_jobs] == ["data_page"]


def test_a_difference_without_a_cause_is_reported_as_such(a, b):
    b.differs("collect")
    found = compared(a, b)
    assert [(job.job, job.causes, job.follows) for job in found.changed_jobs] == [("collect", [], [])]
    assert "1 without a cause in the records" in text_and_json(a, b)[0]


def test_an_input_that_was_replaced_after_it_was_read_is_a_cause(a, b):
    b.jobs["0.5"]["inputs"]["data/prepared/d/index.csv"] = "as it was"
    assert set(causes(compared(a, b))) == {("input", "data/prepared/d/index.csv")}


def test_numbers_are_means_over_images_with_paired_intervals(a, b):
    rng = np.random.default_rng(0)
    moves = dict(zip("abcd", rng.normal(-0.1, 0.01, 4), strict=True))
    for row in b.rows:
        if row["sigma"] == 0.5:
            row["certified_dice"] += moves[row["image"]] + 0.2 * (row["class_id"] - 1.5)
    numbers = changed_metrics(a.write(), b.write())
    (row,) = numbers.changed.to_dict("records")
    assert (row["sigma"], row["number"], row["images"], row["moved"]) == (0.5, "certified_dice", 4, 4)
    difference, low, high = mean_interval(list(moves.values()))
    assert (row["a"], row["b"]) == pytest.approx((0.5, 0.5 + difference))
    expected = pytest.approx((difference, low, high))
    assert (row["difference"], row["difference_low"], row["difference_high"]) == expected
    assert len(numbers.table) == 2 * len(METRICS)
    text, document = text_and_json(a, b)
    assert "4 of 4" in text
    assert "identical in 1 more rows" in text
    assert document["numbers"]["rows"][0]["moved"] == 0


def test_an_undefined_dice_equals_itself_and_differs_from_a_number(a, b):
    for row in a.rows + b.rows:
        if row["image"] == "a":
            row["dice"] = np.nan
    assert changed_metrics(a.write(), b.write()).identical
    for row in b.rows:
        if row["image"] == "a" and row["sigma"] == 0.25:
            row["dice"] = 0.9
    (row,) = changed_metrics(a.write(), b.write()).changed.to_dict("records")
    assert (row["moved"], row["images"], row["a"]) == (1, 4, 0.5)
    assert row["difference"] == 0  # over the images where both are defined
    json.dumps(text_and_json(a, b)[1], allow_nan=False)


def test_without_a_common_image_there_is_no_difference():
    rows = pd.DataFrame([MODEL | {"sigma": 0.5, "image": "a", "group": "a", "dice": 0.5}])
    numbers = compare_numbers(rows, rows.assign(image="b"), [*MODEL, "sigma"], ["dice"])
    (row,) = numbers.changed.to_dict("records")
    assert row["images"] == 0
    assert np.isnan(row["difference"])
    assert not numbers.identical


def test_open_ends_of_intervals_count_as_missing(a, b):
    b.intervals[0]["low"] = 0.5
    (row,) = changed_intervals(a.write(), b.write()).changed.to_dict("records")
    assert (row["number"], row["a"], row["b"], row["moved"]) == ("low", 1.0, 0.75, 1)
    assert "Measurement intervals: 1 of 1 changed" in text_and_json(a, b)[0]


def test_lines_have_at_most_100_columns(a, b):
    for row in a.rows + b.rows:
        row |= {"dataset": "cvc_clinicdb", "model": "deeplabv3plus", "regime": "denoised", "denoiser": "adm256"}
    for row in b.rows:
        row |= {name: row[name] - 0.3 * ord(row["image"]) / 100 for name in METRICS}
    for job in b.jobs.values():
        job["params"]["list"] = [[name, "x" * 9] for name in job["inputs"]]
        job["code"] = {f"segcert/certification/a_long_name_{number}.py": "c" for number in range(3)}
        job["git"] = {"commit": "2" * 40, "clean": False, "changed": []}
    b.differs("fetch", "collect")
    lines = text_and_json(a, b)[0].splitlines()
    assert len(lines) > 20
    assert max(map(len, lines[2:])) <= 100  # the first two contain the path of the checkout


def test_the_exit_status_depends_on_differences(a, b):
    a.write(), b.write()
    runs = str(a.root / "results/r"), f"{b.root}:other"
    same = CliRunner().invoke(app, ["diff", *runs])
    assert (same.exit_code, "identical" in same.stdout) == (0, True)
    b.jobs["collect"]["params"]["seed"] = 1
    b.write()
    different = CliRunner().invoke(app, ["diff", *runs, "--json"])
    assert (different.exit_code, json.loads(different.stdout)["same"]) == (1, False)
    nothing = CliRunner().invoke(app, ["diff", "nowhere", runs[1]])
    assert (nothing.exit_code, "nowhere: contains no run records" in nothing.stderr) == (2, True)
    (b.root / "results/other/certificates.parquet").unlink()
    unfinished = CliRunner().invoke(app, ["diff", *runs])
    assert (unfinished.exit_code, "so the run other is not finished" in unfinished.stderr) == (2, True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone:r", "gone:r: the folder gone does not exist"),
        ("some/where", "is not a run. Specify a run as RUN"),
        ("results/nowhere", "contains no run records. Runs in this checkout: r"),
    ],
)
def test_a_missing_run_is_named(a, monkeypatch, name, message):
    a.write()
    monkeypatch.chdir(a.root)
    with pytest.raises(LineageError, match=message):
        find_run(name)


def test_missing_columns_are_named_and_the_others_are_compared(a, b):
    for row in a.rows:
        del row["worst_case_dice"]
    for row in b.rows:
        row |= {"certified_dice": 0.6, "worst_case_dice": 0.1, "new": 1.0}
    for row in b.intervals:
        del row["median"]
    text, document = text_and_json(a, b)
    numbers, intervals = document["numbers"], document["intervals"]
    assert (numbers["missing_a"], numbers["missing_b"]) == (["worst_case_dice", "new"], [])
    assert (intervals["missing_a"], intervals["missing_b"]) == ([], ["median"])
    moved = {row["number"]: round(row["difference"], 9) for row in numbers["rows"]}
    others = {"dice", "iou", "vote_dice", "certified_iou", "abstain", "radius"}
    assert moved == dict.fromkeys(others, 0) | {"certified_dice": 0.1}
    assert {row["number"] for row in intervals["rows"]} == {"low", "high"}
    assert not document["same"]
    assert "not in A, not compared: certificates worst_case_dice, new" in text
    assert "not in B, not compared: intervals median" in text


def test_a_column_that_only_one_run_lacks_is_a_difference(a, b):
    for row in a.rows + b.rows:
        del row["worst_case_dice"]
    assert text_and_json(a, b)[1]["same"]
    for row in b.rows:
        row["worst_case_dice"] = 0.5
    assert not text_and_json(a, b)[1]["same"]
