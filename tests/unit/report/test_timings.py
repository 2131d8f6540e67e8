"""Time and memory by rule, from benchmark files or, without them, from run records."""

import math

import pandas as pd
import pytest
from matplotlib.text import Annotation

from segcert.audit.page import Stage, lineage_figure
from segcert.report.timings import COLUMNS, read_jobs, stage_figure, stage_table

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def record(rule, seconds, peak, **wildcards):
    return {"rule": rule, "wildcards": wildcards, "seconds": seconds, "peak_memory_mib": peak}


def benchmark(path, seconds, rss, cpu):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{seconds}\t0:00:01\t{rss}\t9\t9\t9\t0.00\t0.00\t9\t{cpu}\n")


@pytest.fixture
def jobs(tmp_path):
    benchmark(tmp_path / "certify/a/0.5.tsv", 12.0, 300.5, 6.0)
    benchmark(tmp_path / "certify/b/0.5.tsv", 9.0, 100.0, 3.0)
    benchmark(tmp_path / "tables.tsv", 1.5, "NA", "NA")  # ended before it was measured
    benchmark(tmp_path / "sample/a.tsv", 2000.0, 900.0, 800.0)  # from another execution: this one took 50 s
    benchmark(tmp_path / "predict/a.tsv", 20.0, 900.0, 800.0)  # from another execution as well
    (tmp_path / "collect.tsv").write_text("")
    (tmp_path / "costs.tsv").write_text(HEADER + "1.5")
    records = [
        record("certify", 10.0, 200, dataset="a", sigma="0.5"),
        record("certify", 8.0, 250, dataset="b", sigma="0.5"),
        record("certify", 100.0, 150, dataset="c", sigma="0.5"),  # pulled from a store
        record("sample", 50.0, 500, dataset="a"),
        record("tables", 1.0, 80),
        record("collect", 2.0, 70),
        record("costs", 3.0, 60),
        record("unheard_of", 4.0, 50),
        record("predict", 50.0, 500, dataset="a"),
        {},  # an artifact without a record
    ]
    patterns = {"certify": "certify/{dataset}/{sigma}.tsv", "sample": "sample/{dataset}.tsv"}
    patterns |= {"predict": "predict/{dataset}.tsv"}
    patterns |= {rule: f"{rule}.tsv" for rule in ("tables", "collect", "costs", "not_run")}
    return read_jobs(records, {rule: f"{tmp_path}/{pattern}" for rule, pattern in patterns.items()})


def test_benchmark_files_are_used_if_they_exist_and_records_otherwise(jobs):
    table = stage_table(jobs)
    assert list(table) == COLUMNS
    rows = {row["rule"]: row for row in table.to_dict("records")}
    certify = rows["certify"]
    assert (certify["jobs"], certify["measured"]) == (3, 2)
    assert (certify["seconds"], certify["longest"], certify["cpu_seconds"]) == (121.0, 100.0, 9.0)
    assert certify["mean_load"] == pytest.approx(9 / 21)
    assert certify["peak_memory_mib"] == 300.5
    for rule in ("sample", "predict"):
        assert (rows[rule]["measured"], rows[rule]["seconds"], rows[rule]["peak_memory_mib"]) == (0, 50.0, 500)
    assert (rows["tables"]["measured"], rows["tables"]["seconds"], rows["tables"]["peak_memory_mib"]) == (1, 1.5, 80)
    for rule in ("sample", "tables", "collect", "costs", "unheard_of"):
        assert math.isnan(rows[rule]["cpu_seconds"])
        assert math.isnan(rows[rule]["mean_load"])
    assert list(table["seconds"]) == sorted(table["seconds"], reverse=True)


def test_the_figure_has_a_bar_per_rule(jobs):
    table = stage_table(jobs)
    seconds, memory = stage_figure(table).axes
    assert [bar.get_width() for bar in seconds.containers[0]] == list(table["seconds"])
    assert [bar.get_width() for bar in seconds.containers[1]] == list(table["longest"])
    assert [bar.get_width() for bar in memory.containers[0]] == list(table["peak_memory_mib"])
    assert seconds.get_yticklabels()[0].get_text() == "certify (3)"


def test_no_records_give_an_empty_table(tmp_path):
    table = stage_table(read_jobs([], {}))
    assert table.empty
    assert list(table) == COLUMNS
    table.to_csv(tmp_path / "stages.csv", index=False)
    assert pd.read_csv(tmp_path / "stages.csv").empty


def test_arrows_of_the_lineage_are_drawn_in_a_fixed_order():
    """Networkx returns them in the order of a set, which differs between processes."""
    readers = [f"reader_{letter}" for letter in "abcdefg"]
    figure = lineage_figure(
        dict.fromkeys(["maker", *readers], Stage(1, 1, "")), {("maker", reader) for reader in readers}
    )
    arrows = [artist.xy[1] for artist in figure.axes[0].texts if isinstance(artist, Annotation)]
    assert len(arrows) == len(readers)
    assert arrows == sorted(arrows)
