"""The command `segcert plan`: options for a run and for an image, and its output."""

import dataclasses
import json
import math
import re
from pathlib import Path

import pytest
from tests.support.planned_jobs import phantom_graph

from segcert.certification.methods import CertificationError
from segcert.cli import main
from segcert.plan.command import plan_image, plan_run, quantity, to_json, to_text, which_plan
from segcert.plan.disk import Space
from segcert.plan.forecast import make_forecast
from segcert.plan.jobs import ForecastError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], "found no options; expected either --config"),
        (["sigma"], "found --sigma;"),
        (["tau", "alpha"], "found --tau, --alpha;"),
        (["config", "sigma"], "found --config, --sigma;"),
        (["as_json"], "found --json;"),
        (["changes", "sigma"], "found KEY=VALUE, --sigma;"),
        (["sigma", "shape", "hardware"], "found --sigma, --shape, --hardware;"),
    ],
)
def test_options_of_a_run_and_of_an_image_exclude_each_other(options, found):
    with pytest.raises(ForecastError, match=found):
        which_plan(options)


def test_options_choose_between_an_image_and_a_run():
    assert which_plan(["sigma", "shape", "tau"]) == "image"
    assert which_plan(["config", "hardware", "as_json"]) == "run"
    assert which_plan(["changes"]) == "run"


def planned(*config, hardware=None, images=None, as_json=False):
    asked = []

    def read_graph(arguments):
        asked.append(arguments)
        return phantom_graph()

    return plan_run(read_graph, list(config), hardware=hardware, images=images, as_json=as_json), asked[0]


def test_the_command_prints_text_and_json(monkeypatch):
    monkeypatch.chdir(ROOT)
    text, asked = planned("config/default.yaml", "tau=0.8", "draws=200")
    assert asked == ["--configfile", "config/default.yaml", "--config", "tau=0.8", "draws=200"]
    sampling = next(line for line in text.splitlines() if line.startswith("sample"))
    assert re.fullmatch(r"sample +1 of 1 +880 +[0-9.]+ GFLOP +[0-9.]+ s +[0-9.]+ s", sampling)
    for part in (
        "3 of them have to run",
        "Hardware: cpu, measured on cpu, 1 threads: ",
        "the configuration",
        "[throughput-cpu.json]",
        "below n = 53, no pixel can be certified",
    ):
        assert part in text
    document = json.loads(planned(as_json=True, images=4)[0])
    assert document["complete"] is True
    assert document["todo"] == 3
    assert document["images"]["phantom"]["test"] == 4
    assert next(s for s in document["stages"] if s["rule"] == "sample")["calls"] == 4 * 110


def test_unknown_sizes_are_named_and_null_in_json(monkeypatch):
    monkeypatch.chdir(ROOT)
    forecast = make_forecast(phantom_graph(stale=False), ROOT / "benchmarks/results")
    forecast = dataclasses.replace(forecast, disk=[Space("archives", math.nan, "not published")])
    text = to_text(forecast)
    assert "all of them are done" in text
    assert re.search("^archives +not known +not published$", text, re.MULTILINE)
    assert json.loads(to_json(forecast))["disk"][0]["bytes"] is None


def test_mistakes_on_the_command_line_are_explained(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ForecastError, match="which is not a file"):
        planned("config/none.yaml")
    with pytest.raises(CertificationError, match="--shape: found '256'"):
        plan_image(0.25, "256", tau=0.75, alpha=0.001, method="segcertify", n0=10, k=10)


def test_one_command_plans_images_and_runs(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["segcert", "plan", "--sigma", "0.25", "--shape", "64x64", "--tau", "0.75"])
    with pytest.raises(SystemExit):
        main()
    assert "To certify any pixel: n >= 53." in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["segcert", "plan", "--config", "config/default.yaml", "--shape", "64x64"])
    with pytest.raises(SystemExit, match="found --config, --shape; expected either --config"):
        main()
    monkeypatch.setattr("sys.argv", ["segcert", "plan"])
    with pytest.raises(SystemExit, match="found no options; expected either --config"):
        main()


def test_quantities_have_one_decimal_and_no_tiny_values():
    units = {"min": 60.0, "s": 1.0}
    assert [quantity(each, units) for each in (0, 0.0000226, 1, 59.94, 90, 7200)] == [
        *("-", "< 1 s", "1.0 s", "59.9 s", "1.5 min", "120.0 min"),
    ]
    assert quantity(math.nan, units) == "not known"


def test_the_channels_of_colour_images_are_asked_for():
    gray, colour = (
        plan_image(0.25, shape, tau=0.75, alpha=0.001, method="segcertify", n0=10, k=10)
        for shape in ("64x64", "3x64x64")
    )
    assert "for a colour image, pass --shape 3x64x64" in gray
    assert "0.672 gray levels" in gray
    assert "0.388 gray levels" in colour
    assert "--shape" not in colour
