"""Compare docs/reference/files.md with the files of a run: the page documents exactly the existing columns."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from tests.support.pages import described, text_of

from segcert.provenance.records import load_record

PAGE = text_of("docs/reference/files.md")
DESCRIBED = described("docs/reference/files.md")
TABLES = [path for path, names in DESCRIBED.items() if names and path.endswith((".csv", ".parquet"))]


def found(checkout, path):
    files = checkout.files(re.sub(r"<\w+>", "*", path.replace("<run>", "tiny")))
    assert files, path
    return files


@pytest.mark.parametrize("path", TABLES)
def test_exactly_the_columns_of_tables_are_documented(finished_once, path):
    for file in found(finished_once, path):
        table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
        columns = ["val_psnr_<sigma>" if name.startswith("val_psnr_") else name for name in table.columns]
        assert set(columns) == set(DESCRIBED[path]), file
        assert len(DESCRIBED[path]) == len(set(DESCRIBED[path])), "a column is documented twice"


def test_every_table_of_a_run_is_documented(finished_once):
    patterns = [
        re.compile(re.sub(r"<\w+>", r"[^/]+", re.escape(path).replace(r"<run>", "tiny")) + "$") for path in DESCRIBED
    ]
    for folder in ("data", "models", "results", "reports"):
        for file in finished_once.files(f"{folder}/**/*"):
            name = str(file.relative_to(finished_once.path))
            part = re.search(r"/(certificates|attacks)/.*\.parquet$", name)  # the rows are also in the collected tables
            if file.suffix in (".csv", ".parquet", ".npz") and not part:
                assert any(pattern.match(name) for pattern in patterns), f"{name} is not documented"


def test_arrays_of_votes_are_documented(finished_once):
    (path,) = [path for path in DESCRIBED if "/votes/" in path]
    for file in found(finished_once, path):
        with np.load(file, allow_pickle=False) as arrays:
            header = json.loads(str(arrays["header"]))
            assert f"the format `{header['format']}`" in PAGE
            image = next(iter(header["images"]))
            names = {name.replace(image, "<image>") for name in arrays if name.startswith(f"{image}/")}
            names = {re.sub(r"measurement/.*", "measurement/<name>", name) for name in names}
            assert names == set(DESCRIBED[path])


def test_keys_of_records_are_documented(finished_once):
    keys = set(DESCRIBED["<file>.record.json"])
    for file in finished_once.files("results/**/*.record.json"):
        record = load_record(file)
        assert set(record) <= keys, file
        assert f"the format `{record['format']}`" in PAGE
    optional = {"decisions", "device", "driver", "holds", "error"}
    assert keys - optional <= set(record)


def test_keys_of_split_files_are_documented(finished_once):
    path = "data/prepared/<dataset>/splits.json"
    section = PAGE.partition(f"### `{path}`")[2].partition("###")[0]
    (file,) = found(finished_once, path)
    for key in json.loads(file.read_text()):
        assert f"`{key}`" in section
