"""Every number on the page, as a browser reads it, against a recomputation from the results of the run."""

import base64
import json
import math

import numpy as np
import pandas as pd
import pytest

from segcert.results.confidence import mean_interval
from segcert.results.tables import METRICS

READ = """() => Array.from(document.querySelectorAll('data')).filter(each => !each.closest('#view')).map(each => {
    const owner = each.dataset.table ? each : each.closest('tr');
    return [owner?.dataset.table, owner?.dataset.row, each.dataset.column, each.value, each.textContent];
})"""
MODEL = ["dataset", "model", "regime", "denoiser", "sigma"]
VARIANTS = ["usual", "two_sets", "one_class", "one_image", "empty_structure", "weaker"]


def summarised(rows, keys, metrics):
    """Yield, by the keys, mean and interval of each metric over images; an image counts with its mean over classes."""
    per_image = rows.groupby([*keys, "group", "image"], sort=False)[metrics].mean()
    per_image["undefined"] = (
        rows["certified_dice"].isna().groupby([rows[key] for key in [*keys, "group", "image"]]).any()
    )
    for key, group in per_image.groupby(keys, sort=False):
        groups = group.index.get_level_values("group")
        yield (
            key,
            {
                f"{metric}{end}": np.clip(value, 0, 1)
                for metric in metrics
                for end, value in zip(("", "_low", "_high"), mean_interval(group[metric], groups), strict=True)
            }
            | {"images": len(group), "undefined": group["undefined"].sum()},
        )


class Results:
    """The results of a run, and the table rows that should follow from them."""

    def __init__(self, run):
        results = run.checkout / "results" / run.name
        self.rows, self.intervals, self.attacks = (
            pd.read_parquet(results / f"{kind}.parquet") for kind in ("certificates", "intervals", "attacks")
        )
        self.scores, self.costs = (
            pd.concat([pd.read_csv(path) for path in sorted(results.glob(f"{kind}/*.csv"))] or [pd.DataFrame()])
            for kind in ("denoiser_scores", "costs")
        )

    def of(self, frame, row, keys):
        """Return the rows of a frame that agree with a row of a table in some keys."""
        for key in keys:
            frame = frame[frame[key] == row[key]]
        return frame

    def main(self, row):
        rows = self.of(self.rows, row, MODEL)
        ((_, values),) = summarised(rows, MODEL, METRICS)
        return values | {"radius": rows["radius"].iloc[0], "radius_gray_levels": rows["radius_gray_levels"].iloc[0]}

    def classes(self, row):
        rows = self.of(self.rows, row, [*MODEL, "class_name"])
        ((_, values),) = summarised(rows, MODEL, METRICS)
        return values | rows[["area", "area_low", "area_high"]].mean().to_dict()

    def per_image(self, row, metric, regime, denoiser, sigma):
        about = {"dataset": row["dataset"], "model": row["model"]}
        wanted = about | {"regime": regime, "denoiser": denoiser, "sigma": sigma}
        return self.of(self.rows, wanted, MODEL).groupby(["group", "image"], sort=False)[metric].mean()

    def difference(self, values):
        values = values.dropna()
        found = mean_interval(values, values.index.get_level_values("group"))
        return {
            "images": len(values),
            **dict(zip(("difference", "difference_low", "difference_high"), found, strict=True)),
        }

    def pairings(self, row):
        own = self.per_image(row, "certified_dice", row["regime"], row["denoiser"], row["sigma"])
        return self.difference(own - self.per_image(row, "certified_dice", row["baseline"], "none", row["sigma"]))

    def claims(self, row):
        if row["images"] == 0 and math.isnan(row["sigma"]):
            return {"images": 0, "difference": math.nan, "difference_low": math.nan, "difference_high": math.nan}

        def gain(first, second):
            return self.per_image(row, *first) - self.per_image(row, *second)

        dice, denoiser, sigma, low = "certified_dice", row["denoiser"], row["sigma"], row["sigma_low"]
        behind, plain = (dice, "clean", denoiser, sigma), (dice, "clean", "none", sigma)
        first, second = {
            "collapse": (plain, ("dice", "clean", "none", sigma)),
            "denoiser_raises": (behind, plain),
            "gain_grows": (behind, plain),
            "fewer_abstain": (("abstain", *behind[1:]), ("abstain", *plain[1:])),
            "no_worse_than_noise_trained": (behind, (dice, "noise", "none", sigma)),
            "tuning_raises": ((dice, "denoised", denoiser, sigma), behind),
        }[row["claim"]]
        values = gain(first, second)
        if row["claim"] == "gain_grows":
            values -= gain((dice, "clean", denoiser, low), (dice, "clean", "none", low))
        return self.difference(values)

    def measurements(self, row):
        rows = self.of(self.intervals, row, [*MODEL, "measurement"]).replace([np.inf, -np.inf], np.nan)
        width = (rows["high"] - rows["low"]) / rows["median"].abs().replace(0, np.nan)
        return rows[["truth", "clean", "low", "high"]].mean().to_dict() | {"width": width.mean()}

    def attacks_of(self, row):
        rows = self.of(self.attacks, row, [*MODEL, "factor"])
        summed = rows[["certified", "changed", "draws", "refuted"]].sum().to_dict()
        means = rows[["clean_share", "share", "least_share", "strength"]].mean().to_dict()
        return {"images": rows["image"].nunique(), "power": 1 - (1 - rows["power"]).prod()} | summed | means

    def denoisers(self, row):
        ((values),) = self.of(self.scores, row, ["dataset", "method", "sigma"]).to_dict("records")
        return values

    def costs_of(self, row):
        ((values),) = self.of(self.costs, row, MODEL[:4]).to_dict("records")
        draws = self.of(self.rows, row, MODEL)[["n0", "n"]].iloc[0].sum()
        dice = {key: value for key, value in self.main(row).items() if key.startswith("certified_dice")}
        return values | {"gflop_per_draw": values["gflop"], "gflop_per_image": values["gflop"] * draws} | dice


def rounded(text):
    """Return a displayed number and half a unit of its last digit."""
    if text == "n/a":
        return math.nan, 0.0
    share = 100 if text.endswith("%") else 1
    text = text.removesuffix("%")
    mantissa, _, exponent = text.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return float(text) / share, 0.5001 * unit / share


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_number_on_the_page_follows_from_the_results(variant, simulated, open_page):
    run = simulated(variant)
    results = Results(run)
    shown = open_page(run.report / "index.html").page.evaluate(READ)
    tables, known = {}, {}
    for table, row, column, value, text in shown:
        assert table, f"{text} does not name its table"
        if table == "stages":  # measured times cannot be recomputed
            continue
        if table not in tables:
            tables[table] = pd.read_csv(run.report / f"tables/{table}.csv", keep_default_na=False, na_values=[""])
        if (table, row) not in known:
            about = tables[table].iloc[int(row)].to_dict()
            known[table, row] = (getattr(results, f"{table}_of", None) or getattr(results, table))(about)
        expected = known[table, row][column]
        assert float(value) == pytest.approx(expected, rel=1e-9, nan_ok=True), (table, row, column)
        number, half = rounded(text)
        assert number == pytest.approx(expected, abs=half, rel=0, nan_ok=True), (table, row, column, text)
    assert {"main", "classes", "claims", "costs"} <= set(tables)
    for table, frame in tables.items():
        assert {int(row) for of, row in known if of == table} == set(range(len(frame))), f"{table}: rows are missing"


def test_downloads_equal_the_files_of_the_report(simulated, open_page):
    run = simulated("usual")
    page = open_page(run.report / "index.html").page
    links = {
        link.get_attribute("download"): base64.b64decode(link.get_attribute("href").partition("base64,")[2])
        for link in page.locator("a[download]").all()
    }
    for suffix in ("csv", "tex"):
        names = [path.name for path in run.report.glob(f"tables/*.{suffix}")]
        assert len(names) > 8
        for name in names:
            assert links[name] == (run.report / "tables" / name).read_bytes()
    configuration = json.loads(links["configuration.yaml"])
    assert configuration["run"] == "usual"


def test_tables_can_be_sorted_and_filtered(simulated, open_page):
    opened = open_page(simulated("two_sets").report / "index.html")
    page = opened.page
    table = page.locator("table", has=page.locator("tr[data-table='main']"))
    column = "td:nth-child(9) > data"
    head = table.locator("th", has_text="certified Dice").first
    for direction in ("ascending", "descending"):
        head.locator("button").press("Enter")
        assert head.get_attribute("aria-sort") == direction
        values = [float(each.get_attribute("value")) for each in table.locator(column).all()]
        assert values == sorted(values, reverse=direction == "descending")
    page.locator("input[type=search]").first.fill("isic2018 resunetpp")
    visible = [row.text_content() for row in table.locator("tbody tr").all() if row.is_visible()]
    assert visible
    assert all("isic2018" in text and "resunetpp" in text for text in visible)
    assert not opened.complaints
