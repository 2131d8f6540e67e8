"""Forged numbers with fitting digests: one table for both tiers."""

import json
import re
import shutil

import numpy as np
import pandas as pd
from tests.pipeline.perturbations import CERTIFICATE, PAGE, ROWS, VOTES

from segcert.provenance.digests import file_digest
from segcert.votes import load_votes, save_votes


def sign(checkout, output):
    """Make a record fit forged outputs, as a forger would."""
    path = checkout.path / f"{output}.record.json"
    record = json.loads(path.read_text())
    for side in ("outputs", "inputs"):
        record[side] = {name: file_digest(checkout.path / name) for name in record[side]}
    path.write_text(json.dumps(record, indent=2) + "\n")


def sign_all(checkout):
    """Make every record and every pointer fit the files."""
    for path in checkout.files("**/*.record.json"):
        if ".trail" not in path.parts and "logs" not in path.parts:
            sign(checkout, path.relative_to(checkout.path).as_posix().removesuffix(".record.json"))
    checkout.dvc("add", "-q", "data", "models", "results", "reports/tiny")


def change_the_first_pixel(path):
    """Change the first pixel of the first map of an image in a file of arrays."""
    with np.load(path) as maps:
        forged = {name: maps[name] for name in maps.files}
    next(values for name, values in forged.items() if not name.startswith("grid/"))[0, 0] ^= 1
    np.savez_compressed(path, **forged)


def forge_labels(checkout):
    """Change the label of one pixel of a certificate."""
    change_the_first_pixel(checkout.path / f"{CERTIFICATE}.npz")


def forge_radii(checkout):
    """Change the radius of one pixel of a radius map."""
    change_the_first_pixel(checkout.path / f"{CERTIFICATE}.radii.npz")


def rows_of_the_certificate(rows):
    return (rows["regime"] == "clean") & (rows["denoiser"] == "none") & (rows["sigma"] == 0.5)


def forge_a_better_radius(checkout):
    """Raise the worst-case Dice at each radius, in the rows of the certificate and in the collected rows."""
    for name in (f"{CERTIFICATE}.radii.parquet", "results/tiny/radii.parquet"):
        rows = pd.read_parquet(checkout.path / name)
        rows.loc[rows_of_the_certificate(rows), "worst_case_dice"] += 0.1
        rows.to_parquet(checkout.path / name, index=False)


def forge_a_verdict(checkout):
    """Let the table say that a claim holds."""
    path = checkout.path / "reports/tiny/tables/claims.csv"
    table = pd.read_csv(path, keep_default_na=False)
    assert table.loc[0, "verdict"] != "it holds"
    table.loc[0, "verdict"] = "it holds"
    table.to_csv(path, index=False)


def forge_rows(checkout):
    """Raise the certified Dice, in the rows of the certificate and in the collected rows."""
    for name in (f"{CERTIFICATE}.parquet", ROWS):
        rows = pd.read_parquet(checkout.path / name)
        rows.loc[rows_of_the_certificate(rows), "certified_dice"] += 0.1
        rows.to_parquet(checkout.path / name, index=False)


def forge_table(checkout):
    """Raise the certified Dice in the table alone."""
    path = checkout.path / "reports/tiny/tables/main.csv"
    table = pd.read_csv(path)
    table.loc[0, "certified_dice"] += 0.1
    table.to_csv(path, index=False)


def forge_ghosts(checkout):
    """Add rows of images that nobody has certified."""
    for name in (f"{CERTIFICATE}.parquet", ROWS):
        rows = pd.read_parquet(checkout.path / name)
        ghosts = rows[rows_of_the_certificate(rows)]
        ghosts = ghosts.assign(image="ghost_" + ghosts["image"], certified_dice=1.0)
        pd.concat([rows, ghosts], ignore_index=True).to_parquet(checkout.path / name, index=False)


def forge_the_choice_of_images(checkout):
    """Leave out the votes of an image."""
    votes = load_votes(checkout.path / VOTES)
    votes.popitem()
    save_votes(checkout.path / VOTES, votes)


def forge_the_sigma(checkout):
    """Replace votes by those of a lower noise level."""
    shutil.copy(checkout.path / VOTES.replace("sigma_0.5", "sigma_0.25"), checkout.path / VOTES)


def forge_the_page(checkout):
    """Remove a row of the main table from the page."""
    page = checkout.path / PAGE
    page.write_text(re.sub(r'<tr data-table="main" data-row="2">.*?</tr>', "", page.read_text(), flags=re.DOTALL))


# (forgery, first broken link of the audit)
FORGERIES = {
    "labels": (forge_labels, f"{CERTIFICATE}.npz"),
    "rows": (forge_rows, f"{CERTIFICATE}.npz"),
    "radii": (forge_radii, f"{CERTIFICATE}.npz"),
    "a better radius": (forge_a_better_radius, f"{CERTIFICATE}.npz"),
    "a verdict": (forge_a_verdict, "reports/tiny/tables/claims.csv"),
    "ghosts": (forge_ghosts, f"{CERTIFICATE}.npz"),
    "the choice of images": (forge_the_choice_of_images, VOTES),
    "the sigma": (forge_the_sigma, VOTES),
    "the page": (forge_the_page, PAGE),
    "a table": (forge_table, "reports/tiny/tables/main.csv"),
}
QUICK = ("labels", "a table")  # forgeries of `make test`


def check_forgery(checkout, name):
    """Assert that the audit finds a forgery by inconsistent numbers, not by digests."""
    forge, where = FORGERIES[name]
    forge(checkout)
    sign_all(checkout)
    audit = checkout.audit()
    assert audit.first.path == where
    digests_fit = ("files are what their jobs made", "jobs read what others made", "pointers name the artifacts")
    assert not any(outcome.broken for outcome in audit.outcomes if outcome.title in digests_fit)
