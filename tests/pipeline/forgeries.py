"""Forged numbers whose digests fit: the forgeries that the fast and the slow tests try."""

import functools
import json
import re
import shutil

import numpy as np
import pandas as pd
from tests.pipeline.perturbations import CERTIFICATE, PAGE, ROWS, VOTES

from segcert.provenance.digests import file_digest
from segcert.votes import load_votes, save_votes


def sign(checkout, output):
    """Update the digests in a record so that they fit forged files, as a forger would."""
    path = checkout.path / f"{output}.record.json"
    record = json.loads(path.read_text())
    for side in ("outputs", "inputs"):
        record[side] = {name: file_digest(checkout.path / name) for name in record[side]}
    path.write_text(json.dumps(record, indent=2) + "\n")


def sign_all(checkout):
    """Update every record and every DVC pointer so that they fit the forged files."""
    for path in checkout.files("**/*.record.json"):
        if ".trail" not in path.parts and "logs" not in path.parts:
            sign(checkout, path.relative_to(checkout.path).as_posix().removesuffix(".record.json"))
    checkout.dvc("add", "-q", "data", "models", "results", "reports/tiny")


def change_the_first_pixel(path):
    """Change the first pixel in the first image's map in a file of arrays."""
    with np.load(path) as maps:
        forged = {name: maps[name] for name in maps.files}
    next(values for name, values in forged.items() if not name.startswith("grid/"))[0, 0] ^= 1
    np.savez_compressed(path, **forged)


def forge_labels(checkout):
    """Change one pixel's label in a certificate."""
    change_the_first_pixel(checkout.path / f"{CERTIFICATE}.npz")


def forge_radii(checkout):
    """Change one pixel's radius in a radius map."""
    change_the_first_pixel(checkout.path / f"{CERTIFICATE}.radii.npz")


def rows_of_the_certificate(rows):
    return (rows["regime"] == "clean") & (rows["denoiser"] == "none") & (rows["sigma"] == 0.5)


def forge_a_better_radius(checkout):
    """Increase the worst-case Dice at each radius, in the certificate's rows and in the collected rows."""
    for name in (f"{CERTIFICATE}.radii.parquet", "results/tiny/radii.parquet"):
        rows = pd.read_parquet(checkout.path / name)
        rows.loc[rows_of_the_certificate(rows), "worst_case_dice"] += 0.1
        rows.to_parquet(checkout.path / name, index=False)


def forge_a_verdict(checkout):
    """Change a verdict in the table of claims to "it holds"."""
    path = checkout.path / "reports/tiny/tables/claims.csv"
    table = pd.read_csv(path, keep_default_na=False)
    assert table.loc[0, "verdict"] != "it holds"
    table.loc[0, "verdict"] = "it holds"
    table.to_csv(path, index=False)


def forge_rows(checkout, column="certified_dice"):
    """Increase a metric, in the certificate's rows and in the collected rows."""
    for name in (f"{CERTIFICATE}.parquet", ROWS):
        rows = pd.read_parquet(checkout.path / name)
        rows.loc[rows_of_the_certificate(rows), column] += 0.1
        rows.to_parquet(checkout.path / name, index=False)


def forge_table(checkout):
    """Increase the certified Dice in the table only."""
    path = checkout.path / "reports/tiny/tables/main.csv"
    table = pd.read_csv(path)
    table.loc[0, "certified_dice"] += 0.1
    table.to_csv(path, index=False)


def forge_ghosts(checkout):
    """Add rows for images that were never certified."""
    for name in (f"{CERTIFICATE}.parquet", ROWS):
        rows = pd.read_parquet(checkout.path / name)
        ghosts = rows[rows_of_the_certificate(rows)]
        ghosts = ghosts.assign(image="ghost_" + ghosts["image"], certified_dice=1.0)
        pd.concat([rows, ghosts], ignore_index=True).to_parquet(checkout.path / name, index=False)


def forge_the_choice_of_images(checkout):
    """Delete one image's votes."""
    votes = load_votes(checkout.path / VOTES)
    votes.popitem()
    save_votes(checkout.path / VOTES, votes)


def forge_the_sigma(checkout):
    """Replace the votes with votes for a lower noise level."""
    shutil.copy(checkout.path / VOTES.replace("sigma_0.5", "sigma_0.25"), checkout.path / VOTES)


def forge_the_page(checkout):
    """Remove a row from the main table on the page."""
    page = checkout.path / PAGE
    page.write_text(re.sub(r'<tr data-table="main" data-row="2">.*?</tr>', "", page.read_text(), flags=re.DOTALL))


# (forgery, first broken link that the audit finds)
FORGERIES = {
    "labels": (forge_labels, f"{CERTIFICATE}.npz"),
    "rows": (forge_rows, f"{CERTIFICATE}.npz"),
    "the vote": (functools.partial(forge_rows, column="vote_dice"), f"{CERTIFICATE}.npz"),
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
    """Assert that the audit finds a forgery because the numbers are inconsistent, not because a digest is wrong."""
    forge, where = FORGERIES[name]
    forge(checkout)
    sign_all(checkout)
    audit = checkout.audit()
    assert audit.first.path == where
    digests_fit = ("files are what their jobs made", "jobs read what others made", "pointers name the artifacts")
    assert not any(outcome.broken for outcome in audit.outcomes if outcome.title in digests_fit)
