"""Names with a meaning for shells, Snakemake, DVC and tables, in real runs; no file contains a secret."""

import json

import numpy as np
from tests.support.archives import encoded, picture

NAMES = (
    "$(touch canary)", "`touch canary`", "; touch canary;", "'once' \"twice\"", "<img src=x onerror=alert(1) & ",
    "é e\u0301 中 \u202e🫁", "=cmd|' !A1", "-rf", "a & b | c > d", "100% ~ # * ? [x]", "a,b;c d", "two  spaces ",
)  # fmt: skip
FOLDER = "in $(touch canary) 'x' \"y\" ; é"
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "canary-of-the-key-0123456789", "AWS_SESSION_TOKEN": "canary-of-the-token-0123456789",
    "GITHUB_TOKEN": "canary-of-github-0123456789", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "canary-of-s3-0123456789",
}  # fmt: skip
MIRROR = "https://ward:canary-of-the-mirror-0123456789@mirror.invalid/sets"


def configured(checkout):
    folder = checkout.path / FOLDER
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for name in NAMES:
        image, mask = picture(name)
        (folder / "images" / f"{name}.png").write_bytes(encoded(image))
        (folder / "masks" / f"{name}_m.png").write_bytes(encoded(np.array([0, 255, 255], np.uint8)[mask]))
    own = {"images": f"{folder}/images", "masks": f"{folder}/masks", "image_suffix": ".png", "mask_suffix": "_m.png"}
    split = {"train": NAMES[:6], "val": NAMES[6:8], "test": NAMES[8:]}
    (checkout.path / "split.json").write_text(json.dumps(split))
    data = {"datasets": ["ward"], "own_data": {"ward": own}, "splits": {"ward": "split.json"}}
    return checkout.configure(run="hostile", mirror=MIRROR, **data)


def test_hostile_names_are_prepared_and_versioned_without_leaking_secrets(checkout, monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    configfile = configured(checkout)
    targets = ("data/prepared/ward/index.csv", "data.dvc")
    checkout.snakemake(*targets, configfile=configfile)

    prepared = checkout.path / "data/prepared/ward"
    assert {path.stem for path in (prepared / "images").iterdir()} == set(NAMES)
    assert not [path for path in checkout.path.rglob("canary*") if path.is_file()]
    assert not (checkout.path.parent / "canary").exists()
    assert "Nothing to be done" in checkout.snakemake("-n", *targets, configfile=configfile).output

    secrets = [*SECRETS.values(), MIRROR, "canary-of-the-mirror"]
    for path in checkout.path.rglob("*"):
        if path.is_file() and path.name != "own.yaml" and "tests" not in path.parts:
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in content], path
